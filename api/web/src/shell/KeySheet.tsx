/** Every key of the page, printed from the table that binds them. */
import { Fragment } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { type Key, useWords } from "../i18n";
import { useSettings } from "../settings";
import { Button, Choice } from "../ui/controls";
import controls from "../ui/controls.module.css";
import { caps, SCOPES, type Scope, sheetOf } from "../ui/keymap";
import styles from "./Shell.module.css";

const TITLES: Record<Scope, Key> = {
  anywhere: "keys_anywhere",
  alarms: "keys_alarms",
  incidents: "incidents_title",
  wall: "nav_wall",
  playback: "nav_playback",
  events: "nav_events",
  reports: "nav_reports",
};

export function KeySheet({ onClose }: { onClose(): void }) {
  const words = useWords();
  const { singleKeys, setSingleKeys } = useSettings();
  return (
    <ModalOverlay isOpen onOpenChange={(open) => !open && onClose()} className={controls.veil ?? ""} isDismissable>
      <Modal className={styles.sheet ?? ""}>
        <Dialog className={controls.form ?? ""}>
          <Heading slot="title" level={2}>
            {words("keys_title")}
          </Heading>
          <div className={styles.scopes}>
            {SCOPES.map((scope) => (
              <section key={scope}>
                <h3>{words(TITLES[scope])}</h3>
                <dl>
                  {sheetOf(scope).map(({ says, chords }) => (
                    <Fragment key={says}>
                      <dt>
                        {chords.map((chord) => (
                          <span key={chord} className={styles.chord}>
                            {caps(chord).map((cap) => (
                              <kbd key={cap}>{cap}</kbd>
                            ))}
                          </span>
                        ))}
                      </dt>
                      <dd>{words(says)}</dd>
                    </Fragment>
                  ))}
                </dl>
              </section>
            ))}
          </div>
          <div className={styles.sheetFoot}>
            <Choice
              label={words("keys_single")}
              visibleLabel
              value={singleKeys ? "on" : "off"}
              options={[
                { value: "on", text: words("keys_single_on") },
                { value: "off", text: words("keys_single_off") },
              ]}
              onChange={(value) => setSingleKeys(value === "on")}
            />
            <span className={styles.spring} />
            <Button onPress={onClose} autoFocus>
              {words("close")}
            </Button>
          </div>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
