import { Link } from "@tanstack/react-router";
import { useWords } from "../i18n";
import { mayAdminister, mayReadRegister, mayWatch } from "../session";
import type { Me } from "../wire";
import styles from "./Shell.module.css";

const wall = "M3 4h6v5H3zM11 4h6v5h-6zM3 11h6v5H3zM11 11h6v5h-6z";
const playback = "M4 10a6 6 0 1 0 2-4.5M4 3v3.5h3.5M10 7v3.5l2.5 1.5";
const health = "M2 10.5h4l2-5 3.5 9 2-4H18";
const admin = "M4 6h12M4 14h12M8 4v4M12 12v4";
const events = "M8.5 3a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M12.5 12.5l4.5 4.5";
const incidents = "M4 4h9l3 3v9H4zM7 9h6M7 12h4";
const reports = "M4 16V4M4 16h13M7.5 13v-4M11 13V6M14.5 13v-2";
const records = "M5 3h10v14H5zM8 7h4M8 10h4M8 13h2.5";

/** The pages this person may open. */
export function Rail({ me }: { me: Me }) {
  const words = useWords();
  return (
    <nav className={styles.rail} aria-label={words("nav_label")}>
      {mayWatch(me) && (
        <>
          <Link to="/wall">
            <Icon path={wall} />
            {words("nav_wall")}
          </Link>
          <Link to="/playback">
            <Icon path={playback} />
            {words("nav_playback")}
          </Link>
        </>
      )}
      <Link to="/events">
        <Icon path={events} />
        {words("nav_events")}
      </Link>
      <Link to="/incidents">
        <Icon path={incidents} />
        {words("nav_incidents")}
      </Link>
      <Link to="/health">
        <Icon path={health} />
        {words("nav_health")}
      </Link>
      <Link to="/reports">
        <Icon path={reports} />
        {words("nav_reports")}
      </Link>
      {mayReadRegister(me) && (
        <Link to="/records">
          <Icon path={records} />
          {words("nav_records")}
        </Link>
      )}
      {mayAdminister(me) && (
        <Link to="/admin">
          <Icon path={admin} />
          {words("nav_admin")}
        </Link>
      )}
    </nav>
  );
}

function Icon({ path }: { path: string }) {
  return (
    <svg viewBox="0 0 20 20" aria-hidden>
      <path d={path} />
    </svg>
  );
}
