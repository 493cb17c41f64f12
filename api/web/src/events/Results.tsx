/** Found events as a table, newest first. */
import { useRef } from "react";
import { useWords } from "../i18n";
import styles from "./Events.module.css";
import { choice, Frame, Glyph, type Listing, Mark, What, When, Where } from "./parts";

export function Results(listing: Listing) {
  const words = useWords();
  const list = useRef<HTMLUListElement>(null);
  return (
    <Frame view="table" list={list} listing={listing}>
      <ul ref={list} aria-label={words("events_results")}>
        {listing.events.map((event, index) => (
          <li key={event.id}>
            <button {...choice(listing, index)} className={styles.event}>
              <Glyph of={event} />
              <When of={event} />
              <Where of={event} />
              <strong>
                <Mark of={event} listing={listing} /> {words.of(event.kind_name)}
              </strong>
              <What of={event} />
            </button>
          </li>
        ))}
      </ul>
    </Frame>
  );
}
