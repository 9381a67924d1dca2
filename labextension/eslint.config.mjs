import js from '@eslint/js';
import hooks from 'eslint-plugin-react-hooks';
import tseslint from 'typescript-eslint';

/** Forbid the imports that the pattern matches. */
function imports(pattern, message) {
  return {
    'no-restricted-imports': [
      'error',
      { patterns: [{ group: [pattern], message }] }
    ]
  };
}

export default tseslint.config(
  { ignores: ['lib', 'dist'] },
  js.configs.recommended,
  {
    files: ['src/**/*.{ts,tsx}'],
    extends: [
      tseslint.configs.strictTypeChecked,
      hooks.configs.flat['recommended-latest']
    ],
    languageOptions: { parserOptions: { project: './tsconfig.eslint.json' } },
    rules: {
      // Numbers in texts and class names are what templates are for.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true }
      ]
    }
  },
  {
    // The floors: core stands alone, and only the list of plugins knows what the app puts together.
    files: ['src/core/**/*.ts'],
    rules: imports('../*', 'core takes nothing from the other rooms.')
  },
  {
    files: ['src/*/**/*.{ts,tsx}'],
    ignores: ['src/core/**', 'src/app/**'],
    rules: imports(
      '**/app/*',
      'app puts the rooms together; no room takes from it.'
    )
  }
);
