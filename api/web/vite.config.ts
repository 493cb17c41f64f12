import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// One bundle for one binary: hashed names below /assets are immutable, index.html is the only file that is revalidated.
export default defineConfig({
  plugins: [react()],
  build: {
    target: "chrome130",
    manifest: true,
    sourcemap: false,
    // A data: URL would need a wider content security policy than the page is served with.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  test: { include: ["src/**/*.test.{ts,tsx}"] },
});
