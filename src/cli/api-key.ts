// What to do about a service that wants a key, or another one. Commands have it from the environment, where no list of processes shows it.

/** Why a service refused to answer, with 401. */
export function keyRefused(): string {
  if ((process.env.TOLLGATE_API_KEY ?? "") === "") {
    return "The service needs an API key: set TOLLGATE_API_KEY to one that `tollgate keys create` printed.";
  }
  return "The service does not know the API key in TOLLGATE_API_KEY: it is incomplete, was revoked, or is of another service.";
}
