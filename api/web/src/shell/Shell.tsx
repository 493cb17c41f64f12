/** What surrounds every page; before it, whatever the person must do first: sign in, choose a password, state a purpose. */
import { Outlet, useRouter } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { Dock } from "../alarms/Dock";
import { useWords } from "../i18n";
import { useMediaState } from "../media/client";
import { mayAdminister, mayReadRegister, mayWatch, useMe } from "../session";
import { applySettings, useSettings } from "../settings";
import { ChangePassword } from "../signin/ChangePassword";
import { DeclarePurpose } from "../signin/Purpose";
import { SignIn } from "../signin/SignIn";
import { NoticeBox } from "../ui/controls";
import { useKeyTable } from "../ui/keys";
import type { Me } from "../wire";
import { KeySheet } from "./KeySheet";
import { Rail } from "./Rail";
import styles from "./Shell.module.css";
import { TopBar } from "./TopBar";

export function Shell() {
  const words = useWords();
  const { language, theme } = useSettings();
  const { me, signedOut, fetched, lostSinceMs } = useMe();
  const link = useMediaState((state) => state.link);
  const [changingPurpose, setChangingPurpose] = useState(false);
  const [sheet, setSheet] = useState(false);

  useEffect(() => {
    applySettings({ language, theme });
    document.title = language === "zh" ? "濠河" : "Haohe";
  }, [language, theme]);

  if (signedOut) return <SignIn />;
  if (!me) {
    return (
      <main className={styles.message}>
        {fetched.state === "failed" ? <NoticeBox notice={fetched.notice} /> : <p className={styles.dim}>{words("loading")}</p>}
      </main>
    );
  }
  if (me.must_change_password) return <ChangePassword />;
  if (mayWatch(me) && !me.purpose) return <DeclarePurpose />;
  if (changingPurpose) return <DeclarePurpose initial={me.purpose ?? null} onDone={() => setChangingPurpose(false)} />;

  return (
    <div className={styles.shell}>
      <Everywhere me={me} onHelp={() => setSheet(true)} />
      <a className={styles.skip} href="#content">
        {words("skip_to_content")}
      </a>
      <TopBar
        me={me}
        lostSinceMs={lostSinceMs ?? (link.state === "lost" ? link.sinceMs : undefined)}
        onPurpose={() => setChangingPurpose(true)}
        onKeys={() => setSheet(true)}
      />
      <Rail me={me} />
      <main className={styles.page} id="content" tabIndex={-1}>
        <Outlet />
      </main>
      {mayWatch(me) && <Dock />}
      {sheet && <KeySheet onClose={() => setSheet(false)} />}
    </div>
  );
}

/** The keys that work on every page. */
function Everywhere({ me, onHelp }: { me: Me; onHelp(): void }) {
  const router = useRouter();
  /** Whoever may not open a page is not led to it by a key either. */
  type Path = "/wall" | "/playback" | "/events" | "/incidents" | "/health" | "/records" | "/reports" | "/admin";
  const to = (path: Path, may = true) => may && router.navigate({ to: path });
  useKeyTable("anywhere", {
    help: onHelp,
    wall: () => to("/wall", mayWatch(me)),
    playback: () => to("/playback", mayWatch(me)),
    events: () => to("/events"),
    incidents: () => to("/incidents"),
    health: () => to("/health"),
    records: () => to("/records", mayReadRegister(me)),
    reports: () => to("/reports"),
    admin: () => to("/admin", mayAdminister(me)),
    fullscreen() {
      // A browser may refuse (a kiosk is full-screen already); then nothing changes.
      if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
      else document.documentElement.requestFullscreen().catch(() => {});
    },
    up() {
      if (!router.history.canGoBack() || router.state.location.pathname === "/wall") return false;
      router.history.back();
    },
  });
  return null;
}
