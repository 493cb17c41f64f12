/** The page's addresses. What is on screen stands in the URL, so that a link reopens it. Every page is loaded when first opened. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { readAdmin } from "./admin/address";
import { readEvents } from "./events/address";
import { readHealth } from "./health/address";
import { useWords } from "./i18n";
import { readIncidents } from "./incidents/address";
import { readLedger, readOrder } from "./keeping/address";
import { readPlayback } from "./playback/address";
import { readRecords } from "./records/address";
import { readReports } from "./reports/address";
import { Shell } from "./shell/Shell";
import styles from "./shell/Shell.module.css";
import { readWall } from "./wall/address";

function Message({ word }: { word: "page_missing" | "page_broken" }) {
  return <p className={styles.message}>{useWords()(word)}</p>;
}

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Message word="page_missing" />,
  errorComponent: () => <Message word="page_broken" />,
});

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/wall" });
  },
});

export const wallRoute = createRoute({
  getParentRoute: () => root,
  path: "/wall",
  validateSearch: readWall,
  component: lazyRouteComponent(() => import("./wall/Wall"), "Wall"),
});

export const playbackRoute = createRoute({
  getParentRoute: () => root,
  path: "/playback",
  validateSearch: readPlayback,
  component: lazyRouteComponent(() => import("./playback/Playback"), "Playback"),
});

export const healthRoute = createRoute({
  getParentRoute: () => root,
  path: "/health",
  validateSearch: readHealth,
  component: lazyRouteComponent(() => import("./health/Health"), "Health"),
});

export const ledgerRoute = createRoute({
  getParentRoute: () => root,
  path: "/health/ledger",
  validateSearch: readLedger,
  component: lazyRouteComponent(() => import("./keeping/Ledger"), "Ledger"),
});

export const retentionRoute = createRoute({
  getParentRoute: () => root,
  path: "/health/retention",
  component: lazyRouteComponent(() => import("./keeping/Retention"), "Retention"),
});

export const holdsRoute = createRoute({
  getParentRoute: () => root,
  path: "/health/holds",
  validateSearch: readOrder,
  component: lazyRouteComponent(() => import("./keeping/Orders"), "Holds"),
});

export const erasuresRoute = createRoute({
  getParentRoute: () => root,
  path: "/health/erasures",
  validateSearch: readOrder,
  component: lazyRouteComponent(() => import("./keeping/Orders"), "Erasures"),
});

export const eventsRoute = createRoute({
  getParentRoute: () => root,
  path: "/events",
  validateSearch: readEvents,
  component: lazyRouteComponent(() => import("./events/Events"), "Events"),
});

export const incidentsRoute = createRoute({
  getParentRoute: () => root,
  path: "/incidents",
  validateSearch: readIncidents,
  component: lazyRouteComponent(() => import("./incidents/Incidents"), "Incidents"),
});

export const shiftRoute = createRoute({
  getParentRoute: () => root,
  path: "/incidents/shift",
  component: lazyRouteComponent(() => import("./incidents/Shift"), "Shift"),
});

export const recordsRoute = createRoute({
  getParentRoute: () => root,
  path: "/records",
  validateSearch: readRecords,
  component: lazyRouteComponent(() => import("./records/Records"), "Records"),
});

export const reportsRoute = createRoute({
  getParentRoute: () => root,
  path: "/reports",
  validateSearch: readReports,
  component: lazyRouteComponent(() => import("./reports/Reports"), "Reports"),
});

export const adminRoute = createRoute({
  getParentRoute: () => root,
  path: "/admin",
  validateSearch: readAdmin,
  component: lazyRouteComponent(() => import("./admin/Admin"), "Admin"),
});

/** Search values are written as they are read by people: `c=1,2`, not JSON. */
const parseSearch = (text: string) => Object.fromEntries(new URLSearchParams(text));
/** What means something although it is empty: the region search is open, and nothing is drawn yet. */
const MAY_BE_EMPTY = new Set(["r"]);
const stringifySearch = (search: Record<string, unknown>) => {
  const said = ([name, value]: [string, unknown]) => value !== undefined && (value !== "" || MAY_BE_EMPTY.has(name));
  const entries = Object.entries(search).filter(said);
  const text = entries.map(([name, value]) => `${name}=${encodeURIComponent(String(value)).replaceAll("%2C", ",")}`).join("&");
  return text ? `?${text}` : "";
};

export const router = createRouter({
  routeTree: root.addChildren([
    eventsRoute,
    home,
    wallRoute,
    playbackRoute,
    healthRoute,
    ledgerRoute,
    retentionRoute,
    holdsRoute,
    erasuresRoute,
    incidentsRoute,
    shiftRoute,
    recordsRoute,
    reportsRoute,
    adminRoute,
  ]),
  parseSearch,
  stringifySearch,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
