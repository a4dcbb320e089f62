// The operator's console, into a folder of its own: the desk serves it, no viewer gets it.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/console/",
  build: {
    target: "es2023",
    outDir: "dist/console",
    emptyOutDir: true,
    assetsInlineLimit: 0, // no data: URLs, so that a strict content security policy holds
    modulePreload: { polyfill: false },
    rolldownOptions: { input: "console.html" },
  },
});
