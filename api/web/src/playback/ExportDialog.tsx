/** Exporting: the marked span of the cameras on screen, with a reason and a case number; then progress and downloads. */
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, type Notice, nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { moment, span } from "../time";
import { Button, Field, NoticeBox, Radios } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { ExportFile, ExportJob, StreamKind, UtcMicros } from "../wire";
import type { Playable } from "./choice";
import styles from "./Playback.module.css";

type Exported = Pick<Playable, "id" | "name">;

export function ExportDialog({
  cameras,
  fromUs,
  toUs,
  onClose,
}: {
  cameras: readonly Exported[];
  fromUs: UtcMicros | undefined;
  toUs: UtcMicros | undefined;
  onClose(): void;
}) {
  const words = useWords();
  const [job, setJob] = useState<ExportJob>();
  const nowUs = nodeNowUs();
  const marked = fromUs !== undefined && toUs !== undefined && toUs > fromUs;
  return (
    <ModalOverlay isOpen onOpenChange={(open) => !open && onClose()} className={controls.veil ?? ""} isDismissable>
      <Modal className={controls.dialog ?? ""}>
        <Dialog className={controls.form ?? ""}>
          <Heading slot="title" level={2}>
            {words("export_title")}
          </Heading>
          {marked ? (
            <dl className={styles.facts}>
              <dt>{words("playback_cameras")}</dt>
              <dd>{cameras.map((camera) => `${camera.id} ${camera.name}`).join("、")}</dd>
              <dt>{words("export_range")}</dt>
              <dd>
                {moment(fromUs, nowUs)} – {moment(toUs, nowUs)} · {span((toUs - fromUs) / 1000)}
              </dd>
            </dl>
          ) : (
            <p>{words("export_range_missing")}</p>
          )}
          {marked && !job && <Ask cameras={cameras} fromUs={fromUs} toUs={toUs} onJob={setJob} onClose={onClose} />}
          {job && <Progress first={job} />}
          {(job || !marked) && (
            <div className={controls.actions}>
              <Button onPress={onClose}>{words("close")}</Button>
            </div>
          )}
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function Ask({
  cameras,
  fromUs,
  toUs,
  onJob,
  onClose,
}: {
  cameras: readonly Exported[];
  fromUs: UtcMicros;
  toUs: UtcMicros;
  onJob(job: ExportJob): void;
  onClose(): void;
}) {
  const words = useWords();
  const [stream, setStream] = useState<StreamKind>("main");
  const [reason, setReason] = useState("");
  const [number, setNumber] = useState("");
  const [busy, setBusy] = useState(false);
  const [notice, setNotice] = useState<Notice>();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    const done = await api.export({
      cameras: cameras.map((camera) => camera.id),
      stream,
      from_us: Math.floor(fromUs),
      to_us: Math.ceil(toUs),
      reason: reason.trim(),
      case: number.trim(),
    });
    setBusy(false);
    if (done.state === "failed") setNotice(done.notice);
    else onJob(done.value);
  };
  return (
    <form className={controls.form} onSubmit={submit}>
      <Radios<StreamKind>
        label={words("export_stream")}
        value={stream}
        onChange={setStream}
        options={[
          { value: "main", text: words("stream_main") },
          { value: "sub", text: words("stream_sub") },
        ]}
      />
      <Field
        label={words("export_reason")}
        value={reason}
        onChange={setReason}
        name="reason"
        maxLength={200}
        isRequired
        autoFocus
      />
      <Field label={words("export_case")} value={number} onChange={setNumber} name="case" maxLength={100} isRequired />
      <p className={styles.dim}>{words("export_logged")}</p>
      {notice && <NoticeBox notice={notice} />}
      <div className={controls.actions}>
        <Button onPress={onClose}>{words("cancel")}</Button>
        <Button type="submit" look="primary" isDisabled={busy}>
          {busy ? words("export_busy") : words("export_act", { n: cameras.length })}
        </Button>
      </div>
    </form>
  );
}

const over = (job: ExportJob) => job.state === "done" || job.state === "failed";

function Progress({ first }: { first: ExportJob }) {
  const words = useWords();
  const { data: job = first } = useQuery({
    queryKey: ["export", first.id],
    queryFn: ({ signal }) => api.exportJob(first.id, signal),
    initialData: first,
    refetchInterval: (query) => (query.state.data && over(query.state.data) ? false : 700),
  });
  if (job.state === "failed") {
    return job.refusal ? <NoticeBox notice={{ status: 0, ...job.refusal }} /> : <p role="alert">{words("export_failed")}</p>;
  }
  if (job.state !== "done") {
    return (
      <div className={controls.form} role="status">
        <span>{words("export_busy")}</span>
        <progress className={styles.progress} aria-label={words("export_busy")} value={job.progress} />
      </div>
    );
  }
  return (
    <div className={controls.form} role="status">
      <strong>✓ {words("export_ready")}</strong>
      <ul className={styles.files}>
        {job.files.map((file) => (
          <li key={file.camera}>
            <File file={file} />
          </li>
        ))}
        {job.manifest && (
          <li>
            <a href={job.manifest} download>
              {words("export_manifest")}
            </a>
          </li>
        )}
      </ul>
    </div>
  );
}

function File({ file }: { file: ExportFile }) {
  const words = useWords();
  const label = words("export_file", { number: file.camera });
  if (file.bytes === 0) return `${label} · ${words("export_missing_part")}`;
  return (
    <>
      <a href={file.uri} download={file.name}>
        {label}
      </a>
      <span className={styles.dim}> {(file.bytes / 1e6).toFixed(1)} MB</span>
    </>
  );
}
