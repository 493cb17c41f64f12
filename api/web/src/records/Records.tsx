import { useWords } from "../i18n";

export function Records() {
  const words = useWords();
  return <h1 className="unseen">{words("records_label")}</h1>;
}
