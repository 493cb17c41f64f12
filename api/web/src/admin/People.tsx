/** Accounts: roles, scopes, one-time passwords. Nobody chooses a password for another. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, type Done, fetched, type Notice } from "../api";
import styles from "../health/Health.module.css";
import { useWords, type Words } from "../i18n";
import { useMe } from "../session";
import { Button, Field, NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { Account, OneTime, People as PeopleList, RightsScope, Role } from "../wire";
import own from "./Admin.module.css";
import { placeOf } from "./draft";

const ROLES: readonly Role[] = ["operator", "auditor", "admin"];

export function People() {
  const words = useWords();
  const queries = useQueryClient();
  const { me } = useMe();
  const [open, setOpen] = useState<{ account: Account | undefined }>();
  const [once, setOnce] = useState<OneTime>();
  const [notice, setNotice] = useState<Notice>();
  const list = fetched(useQuery<PeopleList>({ queryKey: ["people"], queryFn: ({ signal }) => api.people(signal) }));
  const settle = <T,>(done: Done<T>): T | undefined => {
    setNotice(done.state === "failed" ? done.notice : undefined);
    queries.invalidateQueries({ queryKey: ["people"] });
    return done.state === "done" ? done.value : undefined;
  };
  if (list.state === "loading") return <p>{words("loading")}</p>;
  if (list.state === "failed") return <NoticeBox notice={list.notice} />;
  return (
    <section className={styles.section} aria-label={words("people_label")}>
      <div>
        <Button look="primary" data-act="add" onPress={() => setOpen({ account: undefined })}>
          {words("people_add")}
        </Button>
      </div>
      {once && (
        <div className={own.once} role="status">
          <span>{words("people_once", { name: once.name })}</span>
          <code>{once.one_time_password}</code>
        </div>
      )}
      {notice && <NoticeBox notice={notice} />}
      <div className={styles.scroll}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th>{words("people_name")}</th>
              <th>{words("people_display")}</th>
              <th>{words("people_unit")}</th>
              <th>{words("people_roles")}</th>
              <th>{words("people_scopes")}</th>
              <th>{words("column_state")}</th>
              <th>{words("column_acts")}</th>
            </tr>
          </thead>
          <tbody>
            {list.value.people.map((account) => (
              <tr key={account.name}>
                <td>{account.name}</td>
                <td>{account.display}</td>
                <td className={styles.dim}>{account.unit}</td>
                <td>{account.roles.map((role) => words(`role_${role}`)).join("、")}</td>
                <td>{account.scopes.map((scope) => scopeText(words, scope)).join("、")}</td>
                <td>{stateOf(words, account)}</td>
                <td>
                  <Button look="quiet" onPress={() => setOpen({ account })}>
                    {words("admin_change")}
                  </Button>
                  <Button look="quiet" onPress={async () => setOnce(settle(await api.newPassword(account.name)))}>
                    {words("people_new_password")}
                  </Button>
                  {account.name !== me?.person.name && (
                    <Button
                      look="quiet"
                      onPress={async () => settle(await api.changePerson(account.name, { disabled: !account.disabled }))}
                    >
                      {account.disabled ? words("people_enable") : words("people_disable")}
                    </Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {open && (
        <AccountForm
          account={open.account}
          onClose={(made) => {
            setOpen(undefined);
            setOnce(made);
            queries.invalidateQueries({ queryKey: ["people"] });
          }}
        />
      )}
    </section>
  );
}

function scopeText(words: Words, scope: RightsScope): string {
  if (scope === "everything") return words("people_everything");
  return "place" in scope ? scope.place.join("/") : `#${scope.camera}`;
}

function stateOf(words: Words, account: Account): string {
  if (account.disabled) return `⏸ ${words("people_disabled")}`;
  return account.must_change_password ? words("people_must_change") : words("people_active");
}

/** `东苑社区/3号楼`, `#1042`, one a line; nothing is everything. */
export function scopesOf(text: string): RightsScope[] {
  const lines = text.split(/[\n、,，]/).map((line) => line.trim());
  const scopes = lines
    .filter((line) => line !== "")
    .map((line): RightsScope => (/^#\d+$/.test(line) ? { camera: Number(line.slice(1)) } : { place: placeOf(line) }));
  return scopes.length > 0 ? scopes : ["everything"];
}

function AccountForm({ account, onClose }: { account: Account | undefined; onClose(made?: OneTime): void }) {
  const words = useWords();
  const [name, setName] = useState("");
  const [display, setDisplay] = useState(account?.display ?? "");
  const [unit, setUnit] = useState(account?.unit ?? "");
  const [roles, setRoles] = useState<readonly Role[]>(account?.roles ?? ["operator"]);
  const [scopes, setScopes] = useState(() =>
    (account?.scopes ?? []).flatMap((scope) => (scope === "everything" ? [] : [scopeText(words, scope)])).join("、"),
  );
  const [notice, setNotice] = useState<Notice>();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const wish = { display: display.trim(), unit: unit.trim(), roles: [...roles], scopes: scopesOf(scopes) };
    const done: Done<OneTime | undefined> = account
      ? await api
          .changePerson(account.name, wish)
          .then((changed) => (changed.state === "done" ? { state: "done", value: undefined } : changed))
      : await api.addPerson({ name: name.trim(), ...wish });
    if (done.state === "failed") setNotice(done.notice);
    else onClose(done.value);
  };
  return (
    <ModalOverlay isOpen onOpenChange={(shown) => !shown && onClose()} className={controls.veil ?? ""}>
      <Modal className={controls.dialog ?? ""}>
        <Dialog>
          <form className={controls.form} onSubmit={submit}>
            <Heading slot="title" level={2}>
              {account ? `${words("admin_change")} ${account.name}` : words("people_add")}
            </Heading>
            {!account && (
              <Field
                label={words("people_name")}
                value={name}
                onChange={setName}
                name="account"
                maxLength={32}
                placeholder={words("people_name_hint")}
                isRequired
                autoFocus
              />
            )}
            <Field label={words("people_display")} value={display} onChange={setDisplay} name="display" isRequired />
            <Field label={words("people_unit")} value={unit} onChange={setUnit} name="unit" />
            <fieldset className={own.checks}>
              <legend>{words("people_roles")}</legend>
              {ROLES.map((role) => (
                <label key={role}>
                  <input
                    type="checkbox"
                    checked={roles.includes(role)}
                    onChange={({ target }) =>
                      setRoles((old) => ROLES.filter((one) => (one === role ? target.checked : old.includes(one))))
                    }
                  />
                  {words(`role_${role}`)}
                </label>
              ))}
            </fieldset>
            <Field
              label={words("people_scopes")}
              value={scopes}
              onChange={setScopes}
              name="scopes"
              placeholder={words("people_scopes_hint")}
            />
            {notice && <NoticeBox notice={notice} />}
            <div className={controls.actions}>
              <Button onPress={() => onClose()}>{words("cancel")}</Button>
              <Button type="submit" look="primary" isDisabled={roles.length === 0}>
                {words("admin_save")}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
