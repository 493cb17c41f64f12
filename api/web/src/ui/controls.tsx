/** The few controls every page uses, on React Aria's behaviour and our own look. */
import type { ReactNode } from "react";
import {
  Button as AriaButton,
  type ButtonProps,
  Input,
  Label,
  Radio,
  RadioGroup,
  TextField,
  type TextFieldProps,
  ToggleButton,
  ToggleButtonGroup,
} from "react-aria-components";
import type { Notice } from "../api";
import { useWords } from "../i18n";
import styles from "./controls.module.css";

export function Button({ look = "button", ...props }: ButtonProps & { look?: "button" | "quiet" | "primary" }) {
  return <AriaButton {...props} className={styles[look] ?? ""} />;
}

export function Field({
  label,
  type,
  placeholder,
  invalid,
  list,
  step,
  ...props
}: TextFieldProps & {
  label: string;
  placeholder?: string;
  invalid?: boolean;
  type?: string;
  list?: string;
  step?: number;
}) {
  return (
    <TextField {...props} className={styles.field ?? ""} isInvalid={invalid ?? false} {...(type && { type })}>
      <Label>{label}</Label>
      <Input
        className={styles.input ?? ""}
        {...(placeholder && { placeholder })}
        {...(list && { list })}
        {...(step && { step })}
      />
    </TextField>
  );
}

/** One of a few values, all visible. */
export function Choice<T extends string>({
  label,
  value,
  options,
  onChange,
  visibleLabel = false,
}: {
  label: string;
  value: T;
  options: readonly { value: T; text: ReactNode; label?: string }[];
  onChange(value: T): void;
  visibleLabel?: boolean;
}) {
  return (
    <>
      {visibleLabel && (
        <span className={styles.label} aria-hidden>
          {label}
        </span>
      )}
      <ToggleButtonGroup
        aria-label={label}
        className={styles.group ?? ""}
        selectionMode="single"
        disallowEmptySelection
        selectedKeys={[value]}
        onSelectionChange={([chosen]) => chosen !== undefined && onChange(chosen as T)}
      >
        {options.map((option) => (
          <ToggleButton
            key={option.value}
            id={option.value}
            className={styles.button ?? ""}
            {...(option.label && { "aria-label": option.label })}
          >
            {option.text}
          </ToggleButton>
        ))}
      </ToggleButtonGroup>
    </>
  );
}

/** A choice inside a form, as radio buttons. */
export function Radios<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly { value: T; text: string }[];
  onChange(value: T): void;
}) {
  return (
    <RadioGroup className={styles.field ?? ""} value={value} onChange={(chosen) => onChange(chosen as T)}>
      <Label>{label}</Label>
      <div className={styles.radios}>
        {options.map((option) => (
          <Radio key={option.value} value={option.value} className={styles.radio ?? ""}>
            {option.text}
          </Radio>
        ))}
      </div>
    </RadioGroup>
  );
}

/** What is lost and what to do, said at once to a screen reader. */
export function NoticeBox({ notice, extra }: { notice: Notice; extra?: ReactNode }) {
  const words = useWords();
  return (
    <div className={styles.notice} role="alert">
      <strong>{words.of(notice.state)}</strong>
      <span>{words.of(notice.remedy)}</span>
      {notice.retryAfterS !== undefined && <span> {words("sign_in_retry_after", { seconds: notice.retryAfterS })}</span>}
      {extra}
    </div>
  );
}
