// The direction of imports: each part may import those below it and nothing above. Type-only imports count.
const order = [
  'cli', 'benchmark|screening', 'train', 'data|models|optim|formats', 'nn', 'ops', 'tensor', 'graph', 'device',
];
/** Below all parts: errors, random numbers, and what tools/generate.mjs writes (shaders and kernels; ops apart). */
const generatedOps = '^src/generated/ops[.]ts$';

const upward = order.flatMap((part, level) => {
  const above = order.slice(0, level);
  return above.length === 0 ? [] : [{
    name: `${part.replaceAll('|', '-')}-imports-upward`,
    comment: `src/${part} may import only: ${[part, ...order.slice(level + 1)].join(', ')}, errors, random`,
    severity: 'error',
    from: { path: `^src/(${part})/` },
    to: { path: `^src/(${above.join('|')})/` },
  }];
});

/** Only files of `owner` may import `what`. */
function only(name, owner, what, comment) {
  return { name, comment, severity: 'error', from: { path: '^src/', pathNot: owner }, to: { path: what } };
}

module.exports = {
  forbidden: [
    ...upward,
    {
      name: 'errors-and-random-are-below-all',
      comment: 'src/errors.ts, src/nearest.ts and src/random import nothing of the parts',
      severity: 'error',
      from: { path: '^src/(errors[.]ts$|nearest[.]ts$|random/)' },
      to: { path: `^src/(${order.join('|')}|testing|generated)/` },
    },
    {
      name: 'no-way-up-through-an-entry',
      comment: 'src/index.ts gathers parts for users: no part imports it',
      severity: 'error',
      from: { path: `^src/(${order.slice(1).join('|')})/` },
      to: { path: '^src/[^/]+[.]ts$', pathNot: '^src/(errors|nearest|fovea)[.]ts$' },
    },
    {
      name: 'core-is-not-below-itself',
      comment: 'src/fovea.ts is the core with its ops registered: what it gathers does not import it, nor it what is above',
      severity: 'error',
      from: { path: '^src/(ops|tensor|graph|device)/' },
      to: { path: '^src/fovea[.]ts$' },
    },
    {
      name: 'core-imports-no-more',
      severity: 'error',
      from: { path: '^src/fovea[.]ts$' },
      to: { path: `^src/(${order.slice(0, 5).join('|')}|testing)/|^src/index[.]ts$` },
    },
    {
      name: 'testing-is-for-tests',
      comment: 'src/testing is above the core: only what checks a step (cli, train) and the benchmark, which holds outputs to its rule, import it',
      severity: 'error',
      from: { path: `^src/(${order.join('|')})/`, pathNot: '^src/(cli|train|benchmark)/' },
      to: { path: '^src/testing/' },
    },
    {
      name: 'source-imports-only-source',
      comment: 'src imports neither tests nor tools nor benchmarks',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|tools|bench|dist|[.]ci)/' },
    },
    {
      name: 'no-cycles-between-files',
      comment: 'a cycle of values (not of types) makes the order of evaluation decide what works; ops may: the gradient ' +
        'of one is the other, used when both have long been defined',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/ops/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    only('only-webgpu-knows-dawn', '^src/device/webgpu/', '(^|node_modules/)webgpu(/|$)', 'reach it through device/webgpu'),
    only('only-cuda-knows-koffi', '^src/(device/cuda|train)/', '(^|node_modules/)koffi(/|$)', 'reach it through device/cuda'),
    only('only-data-knows-the-codec', '^src/data/', '(^|node_modules/)(sharp|@img)(/|$)', 'reach it through data/'),
    only('only-cpu-knows-the-kernels', '^src/device/cpu/', '^src/generated/wasm', 'WASM is the matter of device/cpu'),
    only('only-webgpu-knows-the-shaders', '^src/device/webgpu/', '^src/generated/shaders', 'WGSL is the matter of device/webgpu'),
    only('only-cuda-knows-its-kernels', '^src/device/cuda/', '^src/generated/cuda[.]ts$', 'CUDA C++ is the matter of device/cuda'),
    only('only-entries-know-all-ops', '^src/(ops/|[^/]+[.]ts$|testing/)', generatedOps, 'ops register in the table of graph/'),
    only('no-benchmark-peers', '^$', '(^|node_modules/)(gpu[.]js|@tensorflow|onnxruntime)', 'peers are for benchmarks'),
    {
      name: 'no-development-dependencies',
      comment: 'what src imports must be a dependency of the package',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], pathNot: 'node_modules/@(types|webgpu)/' },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true, pathNot: '^(webgpu|sharp|koffi)$' },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|[.]cache)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
