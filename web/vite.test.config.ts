// The tests, as modules that `node --test` can run; `npm test` builds and runs them.
import { readdirSync } from "node:fs";

import { defineConfig } from "vite";

const tests = readdirSync("test").filter((name) => name.endsWith(".test.mjs"));

export default defineConfig({
  build: {
    ssr: true,
    target: "node20",
    outDir: "node_modules/.tests",
    emptyOutDir: true,
    rolldownOptions: {
      input: tests.map((name) => `test/${name}`),
      output: { entryFileNames: "[name].mjs" },
    },
  },
});
