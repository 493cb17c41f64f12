import { useState } from "react";
import { api, type Notice } from "../api";
import { useWords } from "../i18n";
import { useSessionActs } from "../session";
import { Button, Field, NoticeBox } from "../ui/controls";
import { Frame } from "./Frame";
import { PurposeFields, usePurpose } from "./PurposeFields";
import { rememberPurpose } from "./purpose";

/** Name, password and the purpose of this shift, in one step. */
export function SignIn() {
  const words = useWords();
  const { refresh } = useSessionActs();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [notice, setNotice] = useState<Notice>();
  const { purpose, ...fields } = usePurpose();

  const submit = async () => {
    if (busy) return;
    setBusy(true);
    const done = await api.signIn(name.trim(), password, purpose);
    if (done.state === "failed") setNotice(done.notice);
    else {
      rememberPurpose(purpose);
      await refresh();
    }
    setBusy(false);
  };

  return (
    <Frame title={words("sign_in_title")} onSubmit={submit}>
      <Field
        label={words("sign_in_name")}
        value={name}
        onChange={setName}
        autoComplete="username"
        name="name"
        autoFocus
        isRequired
      />
      <Field
        label={words("sign_in_password")}
        value={password}
        onChange={setPassword}
        type="password"
        autoComplete="current-password"
        name="password"
        isRequired
      />
      <PurposeFields {...fields} />
      {notice && <NoticeBox notice={notice} />}
      <Button type="submit" look="primary" isDisabled={busy}>
        {busy ? words("sign_in_busy") : words("sign_in_act")}
      </Button>
    </Frame>
  );
}
