import { defineConfig } from 'vitest/config';

// Models and texts are tested here; views in a real browser, by tests/labextension.
export default defineConfig({
  test: { include: ['src/**/*.spec.ts'] }
});
