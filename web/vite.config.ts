// Two pages and a library, built into dist/ and embedded in the binary. Every asset's name carries
// its hash, but the library's, which others write into their pages.
import { defineConfig } from "vite";

const LIBRARY = "rushlane";

export default defineConfig({
  appType: "mpa",
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // no data: URLs, so that a strict content security policy holds
    modulePreload: {
      polyfill: false,
      // By paths of this site: the library runs on pages of others.
      resolveDependencies: (_, chunks, { hostType }) => (hostType === "html" ? chunks : []),
    },
    chunkSizeWarningLimit: 700, // hls.js is one chunk, fetched only when it plays
    rolldownOptions: {
      input: { index: "index.html", watch: "watch.html", [LIBRARY]: "src/sdk/index.ts" },
      preserveEntrySignatures: "strict", // the library exports what it is for, the pages nothing
      output: {
        entryFileNames: ({ name }) => (name === LIBRARY ? "[name].js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
