/** A new incident, by hand: at a camera or without one. */
import { useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, type Notice } from "../api";
import { useWords } from "../i18n";
import { Button, Choice, Field, NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { IncidentPriority } from "../wire";
import type { IncidentsAddress } from "./address";

const PRIORITIES: readonly IncidentPriority[] = ["p1", "p2", "p3"];

/** `onClose` is told the incident that was opened, if one was. */
export function Open({ from, onClose }: { from: IncidentsAddress; onClose(id?: string): void }) {
  const words = useWords();
  const [priority, setPriority] = useState<IncidentPriority>("p2");
  const [camera, setCamera] = useState(from.c ?? "");
  const [text, setText] = useState("");
  const [notice, setNotice] = useState<Notice>();
  const open = async () => {
    const done = await api.openIncident({
      priority,
      ...(camera.trim() && { camera: camera.trim() }),
      ...(text.trim() && { text: text.trim() }),
      ...(from.k && { kind: from.k }),
      ...(from.e && { event: from.e }),
      ...(from.h && { node: from.h }),
      ...(from.m && { name: from.m }),
      ...(from.p && { place: from.p.split("/") }),
      ...(from.t && { happened_us: Math.round(from.t * 1e6) }),
    });
    if (done.state === "done") onClose(done.value.id);
    else setNotice(done.notice);
  };
  return (
    <ModalOverlay isOpen onOpenChange={(shown) => !shown && onClose()} className={controls.veil ?? ""} isDismissable>
      <Modal className={controls.dialog ?? ""}>
        <Dialog className={controls.form ?? ""}>
          <Heading slot="title" level={2}>
            {words("open_title")}
          </Heading>
          <form
            className={controls.form}
            onSubmit={(event) => {
              event.preventDefault();
              void open();
            }}
          >
            <Choice<IncidentPriority>
              label={words("open_priority")}
              visibleLabel
              value={priority}
              options={PRIORITIES.map((one) => ({ value: one, text: words(`p_${one}`) }))}
              onChange={setPriority}
            />
            <Field label={words("open_camera")} name="camera" inputMode="numeric" value={camera} onChange={setCamera} />
            <Field label={words("open_text")} name="text" value={text} onChange={setText} maxLength={500} autoFocus />
            {notice && <NoticeBox notice={notice} />}
            <Button type="submit" look="primary">
              {words("open_act")}
            </Button>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
