/** What the middleware knows of a request and its route may read. */

export interface Env {
  Variables: {
    /** The sender's `X-Request-Id`, or a new one; in every answer and every log line. */
    requestId: string;
    /** The raw body of a webhook whose signature has been checked. */
    signedForm: URLSearchParams;
  };
}
