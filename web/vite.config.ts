// Two pages and a library, built into dist/ and embedded in the binary. Every asset's name carries
// its hash, but the library's, which others write into their pages.
import { defineConfig } from "vite";

const LIBRARY = "rushlane";

export default defineConfig({
  appType: "mpa",
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // no data: URLs, so that a strict content security policy holds
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700, // hls.js is one chunk, fetched only when it plays
    rolldownOptions: {
      input: { index: "index.html", watch: "watch.html", [LIBRARY]: "src/sdk/index.ts" },
      preserveEntrySignatures: "exports-only", // the library's exports are its purpose
      output: {
        entryFileNames: ({ name }) => (name === LIBRARY ? "[name].js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
