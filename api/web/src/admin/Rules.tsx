/** Rules: for which events operators are called. How often that would have been lately is shown before anything is saved. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useDeferredValue, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, fetched, type Notice } from "../api";
import styles from "../health/Health.module.css";
import { useWords } from "../i18n";
import { calendarDay, clockTime } from "../time";
import { Button, Choice, Field, NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { EventKinds, Rule, RuleRate, Rules as RulesAnswer, RuleWish, Urgency } from "../wire";
import own from "./Admin.module.css";
import { draftOfRule, judged, type RuleDraft, wishOfRule } from "./rule";

const URGENCIES: readonly Urgency[] = ["urgent", "high", "medium"];

export function Rules() {
  const words = useWords();
  const queries = useQueryClient();
  const [open, setOpen] = useState<{ rule: Rule | undefined }>();
  const list = fetched(useQuery<RulesAnswer>({ queryKey: ["rules"], queryFn: ({ signal }) => api.rules(signal) }));
  const kinds = fetched(
    useQuery<EventKinds>({
      queryKey: ["event-kinds"],
      queryFn: ({ signal }) => api.eventKinds(signal),
      staleTime: Number.POSITIVE_INFINITY,
    }),
  );
  if (list.state === "loading") return <p>{words("loading")}</p>;
  if (list.state === "failed") return <NoticeBox notice={list.notice} />;
  const known = kinds.state === "ready" ? kinds.value : [];
  const nameOf = (kind: string) => {
    const found = known.find((one) => one.kind === kind);
    return found ? words.of(found.name) : kind;
  };
  return (
    <section className={styles.section} aria-label={words("rules_label")}>
      <div>
        <Button look="primary" data-act="add" onPress={() => setOpen({ rule: undefined })}>
          {words("rules_add")}
        </Button>
      </div>
      {list.value.rules.length === 0 ? (
        <p>{words("rules_none")}</p>
      ) : (
        <div className={styles.scroll}>
          <table className={styles.table}>
            <thead>
              <tr>
                <th>{words("rules_urgency")}</th>
                <th>{words("rules_name")}</th>
                <th>{words("rules_kinds")}</th>
                <th>{words("rules_under")}</th>
                <th>{words("rules_enabled")}</th>
                <th>{words("column_acts")}</th>
              </tr>
            </thead>
            <tbody>
              {list.value.rules.map((rule) => (
                <tr key={rule.id} data-rule={rule.id}>
                  <td>{words(`severity_${rule.urgency}`)}</td>
                  <td>{rule.name}</td>
                  <td>{rule.kinds.map(nameOf).join("、")}</td>
                  <td className={styles.dim}>{[rule.under.join("/"), rule.cameras.join(",")].filter(Boolean).join(" · ")}</td>
                  <td>{rule.enabled ? "✓" : "⏸"}</td>
                  <td>
                    <Button look="quiet" onPress={() => setOpen({ rule })}>
                      {words("admin_change")}
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {open && (
        <RuleForm
          rule={open.rule}
          kinds={known}
          onClose={() => {
            setOpen(undefined);
            queries.invalidateQueries({ queryKey: ["rules"] });
          }}
        />
      )}
    </section>
  );
}

function RuleForm({ rule, kinds, onClose }: { rule: Rule | undefined; kinds: EventKinds; onClose(): void }) {
  const words = useWords();
  const [draft, setDraft] = useState(() => draftOfRule(rule));
  const [notice, setNotice] = useState<Notice>();
  const set = (change: Partial<RuleDraft>) => setDraft((old) => ({ ...old, ...change }));
  const wish = wishOfRule(draft, rule);
  const wrong = "wrong" in wish ? wish.wrong : undefined;
  const settle = (done: Awaited<ReturnType<typeof api.addRule>>) =>
    done.state === "failed" ? setNotice(done.notice) : onClose();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if ("wrong" in wish) return;
    settle(rule ? await api.changeRule(rule.id, wish) : await api.addRule(wish));
  };
  const field = (
    name: "name" | "under" | "cameras" | "text" | "fromHour" | "toHour" | "group" | "holdOff",
    label: string,
    hint?: string,
  ) => (
    <Field
      label={label}
      name={name}
      value={draft[name]}
      onChange={(text) => set({ [name]: text })}
      invalid={wrong === name && draft[name] !== ""}
      {...(hint && { placeholder: hint })}
    />
  );
  return (
    <ModalOverlay isOpen onOpenChange={(shown) => !shown && onClose()} className={controls.veil ?? ""}>
      <Modal className={own.wide ?? ""}>
        <Dialog>
          <form className={controls.form} onSubmit={submit}>
            <Heading slot="title" level={2}>
              {rule ? words("rules_change", { name: rule.name }) : words("rules_add")}
            </Heading>
            <div className={own.columns}>
              {field("name", words("rules_name"))}
              {field("text", words("rules_text"))}
              {field("under", words("rules_under"), words("rules_under_hint"))}
              {field("cameras", words("rules_cameras"), words("rules_cameras_hint"))}
              {field("fromHour", words("rules_from_hour"))}
              {field("toHour", words("rules_to_hour"))}
              {field("group", words("rules_group"))}
              {field("holdOff", words("rules_hold_off"))}
            </div>
            <div>
              <Choice<Urgency>
                label={words("rules_urgency")}
                visibleLabel
                value={draft.urgency}
                options={URGENCIES.map((urgency) => ({ value: urgency, text: words(`severity_${urgency}`) }))}
                onChange={(urgency) => set({ urgency })}
              />
            </div>
            <fieldset className={own.checks}>
              <legend>{words("rules_kinds")}</legend>
              {kinds.map(({ kind, name }) => (
                <Check
                  key={kind}
                  name={kind}
                  label={words.of(name)}
                  checked={draft.kinds.includes(kind)}
                  onChange={(on) => set({ kinds: on ? [...draft.kinds, kind] : draft.kinds.filter((one) => one !== kind) })}
                />
              ))}
            </fieldset>
            <fieldset className={own.checks}>
              <legend>{words("rules_days")}</legend>
              {draft.days.map((on, day) => (
                <Check
                  // biome-ignore lint/suspicious/noArrayIndexKey: a day is its place in the week.
                  key={day}
                  name={`day-${day}`}
                  label={words("rules_weekdays").charAt(day)}
                  checked={on}
                  onChange={(chosen) => set({ days: draft.days.map((old, at) => (at === day ? chosen : old)) })}
                />
              ))}
            </fieldset>
            <Check
              name="opensIncident"
              label={words("rule_opens_incident")}
              checked={draft.opensIncident}
              onChange={(opensIncident) => set({ opensIncident })}
            />
            <Check
              name="enabled"
              label={words("rules_enabled")}
              checked={draft.enabled}
              onChange={(enabled) => set({ enabled })}
            />
            {!("wrong" in wish) && <RateMeter wish={wish} />}
            {notice && <NoticeBox notice={notice} />}
            <div className={controls.actions}>
              {rule && <Button onPress={async () => settle(await api.removeRule(rule.id))}>{words("rules_remove")}</Button>}
              <span className={own.spring} />
              <Button onPress={onClose}>{words("cancel")}</Button>
              <Button type="submit" look="primary" isDisabled={wrong !== undefined}>
                {words("admin_save")}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

function Check({
  name,
  label,
  checked,
  onChange,
}: {
  name: string;
  label: string;
  checked: boolean;
  onChange(on: boolean): void;
}) {
  return (
    <label className={own.check}>
      <input type="checkbox" name={name} checked={checked} onChange={({ target }) => onChange(target.checked)} />
      {label}
    </label>
  );
}

/** What the rule would have done to the operators over the last days. */
function RateMeter({ wish }: { wish: RuleWish }) {
  const words = useWords();
  // Its name, and whether it is at work, change nothing about it.
  const asked = useDeferredValue(JSON.stringify({ ...wish, name: "-", enabled: true }));
  const rate = fetched(
    useQuery<RuleRate>({ queryKey: ["rule-rate", asked], queryFn: ({ signal }) => api.ruleRate(JSON.parse(asked), signal) }),
  );
  if (rate.state === "loading") return <p className={styles.dim}>{words("loading")}</p>;
  if (rate.state === "failed") return <NoticeBox notice={rate.notice} />;
  const { events, alarms, perDay, over } = judged(rate.value);
  const most = Math.max(1, rate.value.budget_per_day, ...rate.value.days.map((day) => day.alarms));
  return (
    <div className={own.rate} data-over={over} role="status">
      <p>
        {perDay === null
          ? words("rules_rate_unknown")
          : words("rules_rate", {
              days: rate.value.days.length,
              alarms,
              per_day: Math.round(perDay * 10) / 10,
              budget: rate.value.budget_per_day,
            })}
      </p>
      <ul className={own.bars} aria-hidden>
        {rate.value.days.map((day) => (
          <li
            key={day.from_us}
            title={`${calendarDay(day.from_us)} ${day.alarms}`}
            style={{ height: `${(day.alarms / most) * 100}%` }}
          />
        ))}
      </ul>
      <p className={styles.dim}>
        {words("rules_rate_events", { events })} ·{" "}
        {words("rules_rate_from", {
          from: `${calendarDay(rate.value.counted_from_us)} ${clockTime(rate.value.counted_from_us)}`,
        })}
      </p>
      {over && <strong>▲ {words("rules_rate_over")}</strong>}
    </div>
  );
}
