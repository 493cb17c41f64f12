import { useWords } from "../i18n";

export function Wall() {
  const words = useWords();
  return <h1 className="unseen">{words("wall_label")}</h1>;
}
