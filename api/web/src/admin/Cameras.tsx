/** The cameras of this node and their settings. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, fetched } from "../api";
import styles from "../health/Health.module.css";
import { byException } from "../health/order";
import { useWords } from "../i18n";
import { Button, Field, NoticeBox } from "../ui/controls";
import type { Camera, Cameras as CameraList } from "../wire";
import { CameraForm, driverWord } from "./CameraForm";
import { freeId } from "./draft";

type Open = { camera: Camera | undefined };

export function Cameras() {
  const words = useWords();
  const queries = useQueryClient();
  const [filter, setFilter] = useState("");
  const [open, setOpen] = useState<Open>();
  const list = fetched(useQuery<CameraList>({ queryKey: ["cameras"], queryFn: ({ signal }) => api.cameras(signal) }));
  if (list.state === "loading") return <p>{words("loading")}</p>;
  if (list.state === "failed") return <NoticeBox notice={list.notice} />;
  const all = list.value.cameras;
  const shown = byException(all, filter).sort((a, b) => a.id - b.id);
  return (
    <section className={styles.section} aria-label={words("health_cameras")}>
      <div className={styles.titleRow}>
        <div className={styles.filter}>
          <Field label={words("health_filter")} value={filter} onChange={setFilter} name="filter" />
        </div>
        <Button look="primary" data-act="add" onPress={() => setOpen({ camera: undefined })}>
          {words("admin_add_camera")}
        </Button>
      </div>
      {shown.length === 0 ? (
        <p className={styles.well}>{all.length === 0 ? words("wall_empty") : words("filter_none")}</p>
      ) : (
        <Table cameras={shown} onOpen={(camera) => setOpen({ camera })} />
      )}
      {open && (
        <CameraForm
          camera={open.camera}
          freeId={freeId(all)}
          onClose={(changed) => {
            setOpen(undefined);
            if (changed) queries.invalidateQueries({ queryKey: ["cameras"] });
          }}
        />
      )}
    </section>
  );
}

function Table({ cameras, onOpen }: { cameras: readonly Camera[]; onOpen(camera: Camera): void }) {
  const words = useWords();
  return (
    <div className={styles.scroll}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th data-figure>{words("column_number")}</th>
            <th>{words("column_name")}</th>
            <th>{words("column_place")}</th>
            <th>{words("camera_main")}</th>
            <th>{words("camera_driver")}</th>
            <th>{words("camera_retention")}</th>
            <th>{words("camera_priority")}</th>
            <th>{words("column_state")}</th>
            <th>{words("column_acts")}</th>
          </tr>
        </thead>
        <tbody>
          {cameras.map((camera) => (
            <tr key={camera.id} data-camera={camera.id}>
              <td data-figure>{camera.id}</td>
              <td>{camera.name}</td>
              <td className={styles.dim}>{camera.place.join(" / ")}</td>
              <td className={styles.dim}>{camera.streams.find((stream) => stream.kind === "main")?.address ?? "—"}</td>
              <td>
                {words(driverWord(camera.driver_wanted ?? "auto"))}
                {!camera.driver_wanted && camera.driver && ` · ${words(driverWord(camera.driver))}`}
              </td>
              <td>{words(`retention_${camera.retention}`)}</td>
              <td>{words(`priority_${camera.priority}`)}</td>
              <td>{camera.enabled ? words("camera_enabled") : `⏸ ${words("camera_disabled")}`}</td>
              <td>
                {camera.managed === "config" ? (
                  <span className={styles.dim}>{words("admin_in_config")}</span>
                ) : (
                  <Button
                    look="quiet"
                    onPress={() => onOpen(camera)}
                    aria-label={`${words("admin_change")} ${camera.id} ${camera.name}`}
                  >
                    {words("admin_change")}
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
