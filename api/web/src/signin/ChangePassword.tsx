import { useState } from "react";
import { api, type Notice } from "../api";
import { useWords } from "../i18n";
import { useSessionActs } from "../session";
import { Button, Field, NoticeBox } from "../ui/controls";
import { Frame } from "./Frame";
import { purposeAtSignIn, rememberPurpose } from "./purpose";

/** The node decides what a good password is; this only says the shortest rule early. */
const SHORTEST = 12;

/** A one-time password opens this form and nothing else. */
export function ChangePassword() {
  const words = useWords();
  const { refresh } = useSessionActs();
  const [old, setOld] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [notice, setNotice] = useState<Notice>();
  const short = fresh.length > 0 && [...fresh].length < SHORTEST;
  const differs = again.length > 0 && again !== fresh;

  const submit = async () => {
    if (short || again !== fresh) return;
    const done = await api.changePassword(old, fresh);
    if (done.state === "failed") {
      setNotice(done.notice);
      return;
    }
    // Said once is enough: if the node has forgotten it, the next form asks.
    const purpose = purposeAtSignIn();
    if (purpose) await api.declarePurpose(purpose);
    rememberPurpose(undefined);
    await refresh();
  };

  return (
    <Frame title={words("password_title")} onSubmit={submit}>
      <p>{words("password_why")}</p>
      <Field
        label={words("password_old")}
        value={old}
        onChange={setOld}
        type="password"
        autoComplete="current-password"
        name="old"
        isRequired
      />
      <Field
        label={words("password_new")}
        value={fresh}
        onChange={setFresh}
        type="password"
        autoComplete="new-password"
        name="new"
        invalid={short}
        isRequired
      />
      <Field
        label={words("password_again")}
        value={again}
        onChange={setAgain}
        type="password"
        autoComplete="new-password"
        name="again"
        invalid={differs}
        isRequired
      />
      {short && <p role="alert">{words("password_short")}</p>}
      {differs && <p role="alert">{words("password_differs")}</p>}
      {notice && <NoticeBox notice={notice} />}
      <Button type="submit" look="primary" isDisabled={short || differs}>
        {words("password_act")}
      </Button>
    </Frame>
  );
}
