/** Who is signed in, and whether the node answers: one query, asked every five seconds, is both. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, fetched, Refused } from "./api";
import type { Me } from "./wire";

const ME = ["me"] as const;

export function useMe() {
  const result = useQuery({
    queryKey: ME,
    queryFn: ({ signal }) => api.me(signal),
    refetchInterval: 5000,
    refetchIntervalInBackground: true,
    retry: false,
  });
  const refused = result.error instanceof Refused ? result.error.notice : undefined;
  const signedOut = refused?.status === 401;
  return {
    me: signedOut ? undefined : result.data,
    signedOut,
    fetched: fetched(result),
    /** When the node stopped answering, in milliseconds since 1970; undefined while it answers. */
    lostSinceMs: refused && !signedOut && result.dataUpdatedAt > 0 ? result.dataUpdatedAt : undefined,
  };
}

export function useSessionActs() {
  const queries = useQueryClient();
  return {
    refresh: () => queries.invalidateQueries({ queryKey: ME }),
    /** Signing out forgets everything this person was allowed to see. */
    async signOut(): Promise<void> {
      await api.signOut();
      queries.clear();
      await queries.refetchQueries({ queryKey: ME });
      location.assign("/");
    },
  };
}

export const mayWatch = (me: Me) => me.person.roles.includes("operator");
export const mayReadRegister = (me: Me) => me.person.roles.includes("auditor");
export const mayAdminister = (me: Me) => me.person.roles.includes("admin");
