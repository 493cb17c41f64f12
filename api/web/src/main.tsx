import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { I18nProvider } from "react-aria-components";
import { createRoot } from "react-dom/client";
import { router } from "./router";
import { applySettings, useSettings } from "./settings";
import "./styles/tokens.css";

applySettings(useSettings.getState());

const queries = new QueryClient({
  // A page in a monitoring room is never "out of focus": what it shows is refreshed whether or not somebody clicks.
  defaultOptions: {
    queries: { retry: false, refetchOnWindowFocus: false, networkMode: "always" },
    mutations: { networkMode: "always" },
  },
});

function Page() {
  const language = useSettings((settings) => settings.language);
  return (
    <I18nProvider locale={language === "zh" ? "zh-CN" : "en-GB"}>
      <RouterProvider router={router} />
    </I18nProvider>
  );
}

const place = document.getElementById("page");
if (place) {
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <Page />
      </QueryClientProvider>
    </StrictMode>,
  );
}
