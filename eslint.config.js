// Few rules, each for a bug that it finds: the compiler and dependency-cruiser see to the rest.
import tseslint from 'typescript-eslint';

export default [
  { ignores: ['dist/', 'node_modules/', '.cache/',
     'src/generated/', 'kernels/', 'runs/', 'bench/peers/node_modules/', 'test/package/consumer/', '.gpu/'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      // A promise nobody waits for loses its error.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-empty-object-type': 'off',
      '@typescript-eslint/no-unsafe-function-type': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['**/*.ts', '**/*.mjs', '**/*.js'],
    rules: {
      eqeqeq: 'error',
      'prefer-const': ['error', { destructuring: 'all' }],
      'no-var': 'error',
      'no-constant-condition': ['error', { checkLoops: false }],
      'no-throw-literal': 'error',
      'no-async-promise-executor': 'error',
      'no-cond-assign': 'error',
      'no-debugger': 'error',
      'no-dupe-else-if': 'error',
      'no-empty': ['error', { allowEmptyCatch: true }],
      'no-fallthrough': 'error',
      'no-loss-of-precision': 'error',
      'no-self-assign': 'error',
      'no-self-compare': 'error',
      'no-sparse-arrays': 'error',
      'no-unsafe-finally': 'error',
      'no-unsafe-optional-chaining': 'error',
      'no-useless-escape': 'error',
      'use-isnan': 'error',
      'no-irregular-whitespace': 'error',
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'test', property: 'only', message: 'It hides the other tests.' },
        { object: 'test', property: 'skip', message: 'Use skip(name, reason) of test/support/skip.ts.' },
      ],
    },
  },
];
