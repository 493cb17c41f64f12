import { useWords } from "../i18n";

export function Playback() {
  const words = useWords();
  return <h1 className="unseen">{words("playback_label")}</h1>;
}
