/** Notifiers: what takes a message to a person. So far by mail. */

export interface Mail {
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

export interface Notifier {
  /** Named in errors and logs. */
  readonly provider: string;
  /** Resolves when it has been taken. Throws AppError("provider_failed"). */
  send(mail: Mail, signal: AbortSignal): Promise<void>;
}
