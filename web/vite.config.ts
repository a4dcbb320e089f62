// Two pages, built into dist/ and embedded in the binary; every asset name carries its hash.
import { defineConfig } from "vite";

export default defineConfig({
  appType: "mpa",
  build: {
    target: "es2023",
    assetsInlineLimit: 0, // no data: URLs, so that a strict content security policy holds
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700, // hls.js is one chunk, fetched only when it plays
    rolldownOptions: { input: ["index.html", "watch.html"] },
  },
});
