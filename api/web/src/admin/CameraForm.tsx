/** One camera's settings: a new camera's or a known one's. The node checks them; what it refuses is said at its field. */
import { type FormEvent, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, type Notice } from "../api";
import { type Key, useWords } from "../i18n";
import { Button, Field, NoticeBox, Radios } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { Camera } from "../wire";
import styles from "./Admin.module.css";
import { type Draft, type DriverChoice, draftOf, wishOf, wrongIn } from "./draft";

const DRIVERS: readonly DriverChoice[] = ["auto", "retina", "libav", "native"];
const WRONG: Record<NonNullable<ReturnType<typeof wrongIn>>, Key> = {
  id: "wrong_id",
  name: "wrong_name",
  main: "wrong_address",
  sub: "wrong_address",
  onvif: "wrong_device_address",
};
export const driverWord = (driver: DriverChoice): Key => `driver_${driver}`;

export function CameraForm({
  camera,
  freeId,
  onClose,
}: {
  camera: Camera | undefined;
  freeId: number;
  onClose(changed: boolean): void;
}) {
  const words = useWords();
  const [draft, setDraft] = useState(() => draftOf(camera, freeId));
  const [notice, setNotice] = useState<Notice>();
  const [wrong, setWrong] = useState<ReturnType<typeof wrongIn>>();
  const [busy, setBusy] = useState(false);
  const [removing, setRemoving] = useState(false);
  const change = (next: Partial<Draft>) => setDraft((old) => ({ ...old, ...next }));
  const text = (name: "id" | "name" | "place" | "main" | "sub" | "onvif" | "user" | "password" | "audio") => ({
    name,
    value: draft[name],
    onChange: (value: string) => change({ [name]: value }),
    invalid: wrong === name || notice?.field === name,
  });

  const settle = async (call: Promise<{ state: "done" } | { state: "failed"; notice: Notice }>) => {
    setBusy(true);
    const done = await call;
    setBusy(false);
    if (done.state === "failed") setNotice(done.notice);
    else onClose(true);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const field = wrongIn(draft);
    setWrong(field);
    if (field) return;
    void settle(camera ? api.changeCamera(wishOf(draft)) : api.addCamera(wishOf(draft)));
  };
  const remove = () => {
    if (!removing) setRemoving(true);
    else if (camera) void settle(api.removeCamera(camera.id));
  };

  return (
    <ModalOverlay isOpen onOpenChange={(open) => !open && onClose(false)} className={controls.veil ?? ""}>
      <Modal className={styles.wide ?? ""}>
        <Dialog>
          <form className={controls.form} onSubmit={submit} noValidate>
            <Heading slot="title" level={2}>
              {camera ? words("admin_change_camera", { number: camera.id, name: camera.name }) : words("admin_add_camera")}
            </Heading>
            <div className={styles.columns}>
              <Field
                {...text("id")}
                label={words("column_number")}
                isDisabled={camera !== undefined}
                isRequired
                inputMode="numeric"
              />
              <Field {...text("name")} label={words("column_name")} maxLength={100} isRequired autoFocus />
              <Field {...text("place")} label={words("camera_place")} placeholder={words("camera_place_hint")} />
              <Radios
                label={words("column_state")}
                value={draft.enabled ? "on" : "off"}
                onChange={(value) => change({ enabled: value === "on" })}
                options={[
                  { value: "on", text: words("camera_enabled") },
                  { value: "off", text: words("camera_disabled") },
                ]}
              />
            </div>
            <Field {...text("main")} label={words("camera_main")} placeholder="rtsp://192.0.2.7:554/main" isRequired />
            <Field {...text("sub")} label={words("camera_sub")} placeholder={words("camera_sub_hint")} />
            <Field {...text("onvif")} label={words("camera_onvif")} placeholder={words("camera_onvif_hint")} />
            <Login draft={draft} known={camera?.has_password ?? false} text={text} change={change} />
            <Radios
              label={words("camera_driver")}
              value={draft.driver}
              onChange={(driver) => change({ driver })}
              options={DRIVERS.map((value) => ({ value, text: words(driverWord(value)) }))}
            />
            <p className={styles.hint}>{words(`driver_${draft.driver}_why`)}</p>
            <div className={styles.columns}>
              <Radios
                label={words("camera_transport")}
                value={draft.transport}
                onChange={(transport) => change({ transport })}
                options={[
                  { value: "tcp", text: "TCP" },
                  { value: "udp", text: "UDP" },
                ]}
              />
              <Radios
                label={words("camera_retention")}
                value={draft.retention}
                onChange={(retention) => change({ retention })}
                options={[
                  { value: "standard", text: words("retention_standard") },
                  { value: "key_target", text: words("retention_key_target") },
                ]}
              />
              <Radios
                label={words("camera_priority")}
                value={draft.priority}
                onChange={(priority) => change({ priority })}
                options={[
                  { value: "low", text: words("priority_low") },
                  { value: "normal", text: words("priority_normal") },
                  { value: "key", text: words("priority_key") },
                ]}
              />
              <Field {...text("audio")} label={words("camera_audio")} placeholder={words("camera_audio_hint")} maxLength={200} />
            </div>
            {wrong && <p role="alert">{words(WRONG[wrong])}</p>}
            {notice && <NoticeBox notice={notice} />}
            {removing && <p role="alert">{words("admin_remove_why")}</p>}
            <div className={controls.actions}>
              {camera && (
                <Button onPress={remove} isDisabled={busy}>
                  {removing ? words("admin_remove_sure") : words("admin_remove")}
                </Button>
              )}
              <span className={styles.spring} />
              <Button onPress={() => onClose(false)}>{words("cancel")}</Button>
              <Button type="submit" look="primary" isDisabled={busy}>
                {words("admin_save")}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

/** The camera's own user and password. What the node knows is never shown; it is kept, replaced or forgotten. */
function Login({
  draft,
  known,
  text,
  change,
}: {
  draft: Draft;
  known: boolean;
  text(name: "user" | "password"): { name: string; value: string; onChange(value: string): void; invalid: boolean };
  change(next: Partial<Draft>): void;
}) {
  const words = useWords();
  return (
    <>
      {known && (
        <Radios
          label={words("camera_login")}
          value={draft.login}
          onChange={(login) => change({ login })}
          options={[
            { value: "keep", text: words("camera_login_keep") },
            { value: "set", text: words("camera_login_set") },
            { value: "clear", text: words("camera_login_clear") },
          ]}
        />
      )}
      {draft.login === "set" && (
        <div className={styles.columns}>
          <Field {...text("user")} label={words("camera_user")} autoComplete="off" />
          <Field {...text("password")} label={words("camera_password")} type="password" autoComplete="new-password" />
        </div>
      )}
    </>
  );
}
