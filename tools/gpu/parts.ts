/** The parts of tools/gpu.ts: what each runs, beside which of PyTorch's ways, and for how long. */

export interface Settings {
  readonly devices: readonly string[];
  /** Interpreters, separated by commas. */
  readonly python: string;
  /** Smallest settings. */
  readonly quick: boolean;
}

export interface Part {
  readonly name: string;
  readonly what: string;
  /** That it is thought to take on an H100 with 16 processor cores; by reasoning, not measured. It is begun where so many are left. */
  readonly seconds: number;
  /** What it runs on, of those asked for. */
  readonly devices: readonly string[];
  /** Of GPUs those alone with this compute capability, 90 for 9.0: others would pass without the kernels that it is there for. */
  readonly capability?: number;
  /** A file of the repository and its arguments. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** It takes --out for a report. */
  readonly report: boolean;
  /** Contestants for whose sake it is there: without times of each it has not been run. */
  readonly peers?: readonly string[];
}

/** PyTorch's name in the benchmark (bench/peers/python.ts), by its end: how, and in which precision. */
const torch = (end: string): string => `PyTorch, cuda${end}`;
const ways = (...ends: string[]): string => ends.map((end) => `${torch(end)}$`).join(';');
/** `float32; graph, tf32`: how the plan tells them. */
const told = (ends: readonly string[]): string =>
  ends.map((end) => [end.replace(/^, /, ''), ...(/tf32|bfloat16/.test(end) ? [] : ['float32'])].filter((word) => word !== '').join(', ')).join('; ');

/**
 * What stands beside the steps of so many images: each holds a batch's activations in a process of its own, so that of large batches few find
 * room at once (78 GiB). A graph computes what eager steps do; compiled ones take minutes to be ready and have parts of their own.
 */
const beside = [
  { batch: 128, part: 'step-128', seconds: 75, ends: [', bfloat16', ', graph, bfloat16', ', graph, tf32', ', graph'] },
  { batch: 256, part: 'step-256', seconds: 75, ends: [', graph, bfloat16', ', graph, tf32'] },
  { batch: 32, part: 'step-32', seconds: 75, ends: ['', ', tf32', ', bfloat16', ', graph', ', graph, tf32', ', graph, bfloat16'] },
  { batch: 256, part: 'step-256-float32', seconds: 60, ends: [', graph'] },
] as const;
/** After all else, those first by which the best of PyTorch is most likely another. Eager steps are their graphs' kernels, which wait for the host. */
const compiled = [
  { batch: 128, precision: 'bfloat16' }, { batch: 256, precision: 'bfloat16' }, { batch: 128, precision: 'tf32' }, { batch: 256, precision: 'tf32' },
] as const;
const eager = [
  { batch: 128, part: 'step-128-eager', seconds: 60, ends: [', tf32', ''] },
  { batch: 256, part: 'step-256-eager', seconds: 75, ends: [', bfloat16', ', tf32'] },
  { batch: 256, part: 'step-256-eager-float32', seconds: 60, ends: [''] },
] as const;
const compiledLast = [
  { batch: 32, precision: 'bfloat16' }, { batch: 128, precision: 'float32' }, { batch: 256, precision: 'float32' },
] as const;

/** Kernels at this batch: at a larger one inputs do not fit into a line to the peer. */
const KERNEL_BATCH = 32;

/** Those that have something to run on. */
export function parts({ devices, python, quick }: Settings): Part[] {
  // `cuda-host` is the suite's alone.
  const measured = devices.filter((name) => name !== 'cuda-host');
  const own = devices.filter((name) => /^cuda(:|$)/.test(name));
  // PyTorch with CUDA stands beside GPUs alone.
  const besideTorch = own.length > 0 ? own : measured.filter((name) => name !== 'cpu');
  const hopper = { FOVEA_CUDA_RUNG: 'hopper' };
  const small = quick ? ['--quick', '--runs', '2', '--shapes', '1', '--no-probes', '--width', '0.125'] : [];
  const bench = (given: readonly string[], on = measured): string[] =>
    ['bench/main.ts', '--device', on.join(','), '--threads', '1', '--python', python, ...given, ...(own.length > 0 ? ['--tf32'] : []), ...small];
  // Eager, PyTorch has the kernels that its graphs have; it is there for the peak of its product, which probes are held to.
  const kernels = (name: string, what: string, seconds: number, peers: string, given: readonly string[], on = measured): Part => ({
    name, what, seconds, devices: on, report: true,
    args: bench([...(quick ? [] : ['--batch', String(KERNEL_BATCH), '--runs', '10', '--limit', '20']), '--peer', peers, ...given], on),
  });
  const step = (name: string, what: string, seconds: number, batch: number, ends: readonly string[], limit: number, on = measured): Part => {
    const sizes = quick ? [] : ['--step-batch', String(batch), '--runs', '12', '--step-limit', String(limit), '--no-probes'];
    return { name, what, seconds, devices: on, report: true, args: bench(['--only', 'step', ...sizes, '--peer', ways(...ends)], on) };
  };
  const compile: Part = {
    name: 'kernels', what: "CUDA's kernels for the suite and the benchmark, several at once, where the cache lacks them", seconds: 130,
    devices: own, report: false, args: ['tools/gpu/compile.ts', '--devices', own.join(','), ...(quick ? ['--kernels', 'copy'] : [])],
  };
  const suite = (on: readonly string[], seconds: number): Part => ({
    name: 'suite', what: `the op suite on ${on.join(' and ')}`, seconds, devices: on, report: false, args: ['test/ops/suite.test.ts'],
    env: { FOVEA_RUNNERS: ['reference', ...on].join(','), ...(quick && { FOVEA_OPS: 'relu,matmul' }) },
  });
  const directions = [['forward', 'conv2d '], ['input-gradient', 'conv2dInputGrad'], ['filter-gradient', 'conv2dFilterGrad']] as const;
  /** Convolutions in each direction, those with a word in their names. */
  const convolutions = directions.map(([name, op]) => (seconds: number, on = measured, word = ''): Part =>
    kernels(`conv-${name}`, `each convolution of Inception-BN, ${name.replace('-', "'s ")}`, seconds, ways(', graph', ', graph, tf32'),
      ['--only', 'conv', '--filter', `${op}+inception-bn${word}`, '--no-probes'], on));
  const gemm = (on = measured): Part => kernels('gemm', 'products, one of 8192 in 16 bits among them', 90, ways('', ', graph', ', graph, tf32'),
    ['--only', 'gemm'], on);
  const stepBeside = ({ batch, part, seconds, ends }: (typeof beside | typeof eager)[number], on = measured): Part =>
    step(part, `training steps of ${batch} images beside PyTorch (${told(ends)})`, seconds, batch, ends, 60, on);
  const stepEager = (one: (typeof eager)[number]): Part => ({ ...stepBeside(one, besideTorch), peers: one.ends.map(torch) });
  const stepCompiled = ({ batch, precision }: (typeof compiled | typeof compiledLast)[number]): Part => {
    const end = `, compile${precision === 'float32' ? '' : `, ${precision}`}`;
    const what = `training steps of ${batch} images beside torch.compile(mode='max-autotune') in ${precision}`;
    return { ...step(`compile-${batch}-${precision}`, what, 420, batch, [end], 400, besideTorch), peers: [torch(end)] };
  };
  const withHopper = (part: Part, env: Part['env'] = {}): Part =>
    ({ ...part, name: `${part.name}-hopper`, what: `${part.what}; Hopper's own`, capability: 90, env: { ...part.env, ...hopper, ...env } });
  /** Products by a rung below those that are taken by themselves, which multiplies in float32 alone. */
  const lower = (rung: string): Part => {
    const part = kernels(`gemm-${rung}`, `products by the rung ${rung}`, 90, ways('', ', graph'), ['--only', 'gemm'], own);
    return { ...part, args: part.args.filter((word) => word !== '--tf32'), env: { FOVEA_CUDA_RUNG: rung } };
  };
  const withPrologues = (part: Part): Part => ({
    ...part, name: `${part.name}-prologues`, what: `${part.what}, images normalized and gradients of batch norm made as they are read`,
    env: { ...part.env, FOVEA_CUDA_PROLOGUES: '1' },
  });
  const all = [
    ...(own.length > 0 ? [compile] : []),
    suite(devices, 200),
    ...(own.length > 0 ? [
      withHopper({ ...compile, seconds: 60 }),
      withHopper(suite(own, 60), { FOVEA_OPS: 'matmul,conv2d,conv2dNormalize,conv2dStats,conv2dInputGrad,conv2dFilterGrad' }),
      withHopper({
        name: 'tiles', what: 'products and convolutions of several tiles and runs', seconds: 60, devices: own, report: false,
        args: ['test/device/cuda-hopper-gpu.test.ts'],
      }),
    ] : []),
    ...beside.map((one) => stepBeside(one)),
    gemm(),
    ...convolutions.map((make) => make(240)),
    // Those rows alone that Hopper's kernels take.
    ...(own.length > 0 ? [
      withHopper(gemm(own)), ...convolutions.map((make) => withHopper(make(120, own, '+bfloat16'))), withHopper(stepBeside(beside[0], own)),
      withPrologues(stepBeside(beside[0], own)), ...['async', 'simt'].map(lower),
    ] : []),
    ...compiled.map(stepCompiled), ...eager.map(stepEager), ...compiledLast.map(stepCompiled),
  ];
  return all.filter((part) => part.devices.length > 0);
}
