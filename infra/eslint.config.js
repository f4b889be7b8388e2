/**
 * Lint: what the compiler does not see. Formatting is prettier's. What concerns whole files and folders (who may import
 * what, sizes, leftovers) is in source.test.ts.
 */
import tseslint from 'typescript-eslint'

const TESTS = [
  '**/*.test.ts',
  '**/*.contract.ts',
  '**/*.fake.ts',
  '**/*.fixture.ts',
  '**/*.child.ts',
  '**/testing/**',
]
const CLOCKS = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'performance', 'fetch']

const environment = {
  object: 'process',
  property: 'env',
  message: 'Settings are read once, in services/node/config.ts; take them as arguments.',
}

/** The core decides from the log and the state alone (invariant I1): replaying equals running. */
const pure = {
  'no-restricted-globals': [
    'error',
    ...[...CLOCKS, 'process', 'console', 'crypto', 'Intl'].map((name) => ({
      name,
      message: 'streams/core is pure: no clock, no random number, no environment (invariant I1).',
    })),
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: 'The only time in streams/core is the time of the log.' },
    { object: 'Math', property: 'random', message: 'Replicas would differ.' },
    ...['localeCompare', 'toLocaleString', 'toLocaleLowerCase', 'toLocaleUpperCase'].map((property) => ({
      property,
      message: 'The locale of the machine must not decide.',
    })),
  ],
  'no-restricted-syntax': [
    'error',
    {
      selector: "NewExpression[callee.name='Date'], CallExpression[callee.name='Date']",
      message: 'The only time in streams/core is the time of the log.',
    },
  ],
}

/** Of ESLint's recommended rules, those that the compiler does not cover. */
const mistakes = Object.fromEntries(
  [
    'for-direction',
    'no-async-promise-executor',
    'no-cond-assign',
    'no-constant-binary-expression',
    'no-control-regex',
    'no-debugger',
    'no-dupe-else-if',
    'no-duplicate-case',
    'no-empty',
    'no-empty-character-class',
    'no-empty-pattern',
    'no-ex-assign',
    'no-fallthrough',
    'no-irregular-whitespace',
    'no-loss-of-precision',
    'no-misleading-character-class',
    'no-prototype-builtins',
    'no-regex-spaces',
    'no-self-assign',
    'no-self-compare',
    'no-sparse-arrays',
    'no-unsafe-finally',
    'no-unsafe-optional-chaining',
    'no-useless-assignment',
    'no-useless-escape',
    'preserve-caught-error',
    'use-isnan',
    'valid-typeof',
    'eqeqeq',
    'no-var',
    'prefer-const',
    'object-shorthand',
  ].map((rule) => [rule, 'error']),
)

export default tseslint.config(
  { ignores: ['dist/**', 'coverage/**', 'data/**', 'proto/generated/**', '**/node_modules/**'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  { rules: mistakes },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname + '/..' },
    },
    rules: {
      'no-restricted-properties': ['error', environment],

      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/prefer-nullish-coalescing': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true, requireDefaultForNonUnion: true },
      ],
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { attributes: false } }],
      // An async function without await is how a port that promises turns a throw into a rejection.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      // It refuses to throw on what was caught as unknown and looked at; no-throw-literal knows the real mistake.
      '@typescript-eslint/only-throw-error': 'off',
      'no-throw-literal': 'error',
      // It does not see that a flag changes during an await, nor that an assertion over constants is meant.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Ports are objects of closures: their methods have no `this`.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // `must` of streams/core/assert.ts says what is missing.
      '@typescript-eslint/no-non-null-assertion': 'error',
    },
  },
  { files: ['streams/**/*.ts', 'services/node/**/*.ts'], ignores: TESTS, rules: { 'no-console': 'error' } },
  {
    files: ['streams/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['**/services/**'], message: 'Imports go services → streams → proto, never back.' },
          ],
        },
      ],
    },
  },
  { files: ['streams/core/**/*.ts'], ignores: TESTS, rules: pure },
  {
    files: [
      'services/node/config.ts',
      'services/cli/**/*.ts',
      'infra/**/*.ts',
      'load-tests/**/*.ts',
      ...TESTS,
    ],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: TESTS,
    rules: {
      // chai: `expect(x).to.be.empty`
      '@typescript-eslint/no-unused-expressions': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      'no-control-regex': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
    },
  },
  { files: ['**/*.cjs'], languageOptions: { sourceType: 'commonjs' } },
)
