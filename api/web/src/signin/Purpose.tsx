import { useState } from "react";
import { api, type Notice } from "../api";
import { useWords } from "../i18n";
import { useSessionActs } from "../session";
import { Button, NoticeBox } from "../ui/controls";
import type { Purpose } from "../wire";
import { Frame } from "./Frame";
import { PurposeFields, usePurpose } from "./PurposeFields";

/** Asked when a login has no purpose yet, or when its holder wants to change it. */
export function DeclarePurpose({ initial, onDone }: { initial?: Purpose | null; onDone?(): void }) {
  const words = useWords();
  const { refresh } = useSessionActs();
  const [notice, setNotice] = useState<Notice>();
  const { purpose, ...fields } = usePurpose(initial);

  const submit = async () => {
    const done = await api.declarePurpose(purpose);
    if (done.state === "failed") {
      setNotice(done.notice);
      return;
    }
    await refresh();
    onDone?.();
  };

  return (
    <Frame title={words("purpose_title")} onSubmit={submit}>
      <p>{words("purpose_why")}</p>
      <PurposeFields {...fields} />
      {notice && <NoticeBox notice={notice} />}
      <Button type="submit" look="primary">
        {words("purpose_act")}
      </Button>
      {onDone && (
        <Button look="quiet" onPress={onDone}>
          {words("cancel")}
        </Button>
      )}
    </Frame>
  );
}
