import { useWords } from "../i18n";

export function Health() {
  const words = useWords();
  return <h1 className="unseen">{words("health_label")}</h1>;
}
