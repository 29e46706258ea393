/** A small SMTP server (RFC 5321) over real sockets, that takes mails and shows what it was sent. */

export interface SmtpServer {
  readonly url: string;
  readonly mails: readonly { readonly from: string; readonly to: string; readonly data: string }[];
  /** Every command, in order. */
  readonly commands: readonly string[];
  /** Resolves when nobody is connected. */
  allClosed(): Promise<void>;
  close(): Promise<void>;
}

export interface SmtpFault {
  /** The command that is answered so; `connect`: the greeting. */
  readonly at: "connect" | "EHLO" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "end of data";
  /** Null: no answer at all, ever. "drop": the connection is closed. */
  readonly answer: string | null | "drop";
}

export function startSmtp(fault: SmtpFault | null = null): SmtpServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const mails: { from: string; to: string; data: string }[] = [];
  const commands: string[] = [];
  const open = new Set<Deno.Conn>();
  const sessions = new Set<Promise<void>>();

  async function converse(conn: Deno.Conn): Promise<void> {
    const mail = { from: "", to: "", data: "" };
    const say = async (at: string, answer: string): Promise<boolean> => {
      const given = fault?.at === at ? fault.answer : answer;
      if (given === "drop") return false;
      if (given !== null) await conn.write(new TextEncoder().encode(`${given}\r\n`));
      return true;
    };
    if (!await say("connect", "220 mail.example ESMTP")) return;
    let isData = false;
    for await (const line of lines(conn)) {
      if (isData && line !== ".") {
        mail.data += `${line.replace(/^\./, "")}\r\n`;
        continue;
      }
      if (isData) {
        isData = false;
        if (fault?.at !== "end of data") mails.push({ ...mail });
        if (!await say("end of data", "250 taken")) return;
        continue;
      }
      commands.push(line);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === "QUIT") return void await say("QUIT", "221 bye");
      if (verb === "MAIL") mail.from = /<(.*?)>/.exec(line)?.[1] ?? "";
      if (verb === "RCPT") mail.to = /<(.*?)>/.exec(line)?.[1] ?? "";
      if (verb === "DATA") isData = fault?.at !== "DATA";
      const usual = ANSWERS[verb] ?? "500 unknown";
      if (!await say(verb, usual)) return;
    }
  }

  async function serve(): Promise<void> {
    for await (const conn of listener) {
      open.add(conn);
      const session = converse(conn).catch(() => {}).finally(() => {
        if (open.delete(conn)) conn.close();
        sessions.delete(session);
      });
      sessions.add(session);
    }
  }
  const serving = serve();

  return {
    url: `smtp://127.0.0.1:${listener.addr.port}`,
    mails,
    commands,
    async allClosed() {
      await Promise.all(sessions);
    },
    async close() {
      listener.close();
      for (const conn of open) conn.close();
      open.clear();
      await Promise.all([serving, ...sessions]);
    },
  };
}

const ANSWERS: Readonly<Record<string, string>> = {
  EHLO: "250-mail.example\r\n250-AUTH PLAIN\r\n250 SIZE 1000000",
  AUTH: "235 welcome",
  MAIL: "250 ok",
  RCPT: "250 ok",
  DATA: "354 go on",
};

async function* lines(conn: Deno.Conn): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(16 * 1024);
  let text = "";
  for (;;) {
    const read = await conn.read(buffer);
    if (read === null) return;
    text += decoder.decode(buffer.subarray(0, read), { stream: true });
    for (let end = text.indexOf("\r\n"); end !== -1; end = text.indexOf("\r\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 2);
    }
  }
}
