/** The demo: an agent of a dental clinic that books an appointment, and what its caller says. */

import { type Graph, parseGraph } from "./graph.ts";

export const demoAgent: Graph = parseGraph({
  name: "Bright Smile Dental",
  language: "en",
  voice: null,
  persona: "You are Nora, at the reception of the dental clinic Bright Smile. You are warm and " +
    "brief. You only book appointments, and give no medical advice.",
  keyterms: ["Bright Smile", "toothache", "check-up", "hygienist"],
  idlePrompt: "Are you still there?",
  idleFarewell: "I cannot hear you. Please call us again. Goodbye.",
  timeUpSentence: "I am sorry, we are out of time. Please call us again. Goodbye.",
  failureSentence: "I am sorry, I cannot finish this right now. Please call us again.",
  limits: { maxDurationMs: 300_000, idleMs: 8_000, idlePromptCount: 2 },
  nodes: [
    {
      type: "start",
      id: "welcome",
      greeting: "Bright Smile Dental, Nora speaking. How can I help you?",
      instructions: "Find out why the caller wants to see a dentist.",
      variables: [
        {
          name: "reason",
          type: "string",
          description: "Why the caller wants an appointment, in the caller's words.",
          ask: "How can I help you?",
          required: true,
        },
      ],
    },
    {
      type: "agent",
      id: "patient",
      instructions: "Find out who the patient is.",
      variables: [
        {
          name: "patient",
          type: "string",
          description: "The patient's full name.",
          ask: "I can help with that. What is your name, please?",
          required: true,
        },
        {
          name: "firstVisit",
          type: "boolean",
          description: "Whether this is the patient's first visit to the clinic.",
          ask: "Is this your first visit with us?",
          required: true,
        },
      ],
    },
    {
      type: "agent",
      id: "slot",
      instructions: "Agree on a day and a time. The clinic is open Monday to Friday, nine to five.",
      variables: [
        {
          name: "day",
          type: "string",
          description: "The day of the appointment.",
          ask: "Thank you, {{patient}}. Which day suits you?",
          required: true,
        },
        {
          name: "time",
          type: "string",
          description: "The time of the appointment.",
          ask: "And at what time?",
          required: true,
        },
      ],
    },
    {
      type: "end",
      id: "booked",
      farewell: "You are booked for {{day}} at {{time}}, {{patient}}. Goodbye!",
      outcome: "booked",
    },
  ],
  edges: [
    {
      from: "welcome",
      to: "patient",
      function: "start_booking",
      condition: "The caller has said why they want an appointment.",
      needsVariables: true,
    },
    {
      from: "patient",
      to: "slot",
      function: "choose_slot",
      condition: "The patient's name is known, and whether this is the first visit.",
      needsVariables: true,
    },
    {
      from: "slot",
      to: "booked",
      function: "book_appointment",
      condition: "Day and time are agreed.",
      needsVariables: true,
    },
  ],
});

/** A small one, as the API's reference shows it: what is left out has its default. */
export const exampleGraph = {
  name: "Opening hours",
  language: "en",
  persona: "You are Sam, at the desk of a bicycle shop. You are brief.",
  nodes: [
    {
      type: "start",
      id: "welcome",
      greeting: "Bike shop, Sam speaking. What can I do for you?",
      instructions: "Find out what the caller wants. The shop is open from nine to six.",
      variables: [{
        name: "wish",
        type: "string",
        description: "What the caller wants, in the caller's words.",
        ask: "What can I do for you?",
      }],
    },
    { type: "end", id: "done", farewell: "I have noted it. Goodbye!", outcome: "noted" },
  ],
  edges: [{
    from: "welcome",
    to: "done",
    function: "note_wish",
    condition: "The caller has said what they want.",
    needsVariables: true,
  }],
};

/** What the caller of `deno task call` says when it is given no words: one line for each of its turns. */
export const demoCaller: readonly string[] = [
  "Hello, I have a toothache and would like to see a dentist.",
  "My name is Maria Lopez.",
  "Yes, it is.",
  "Could you do Thursday?",
  "Half past nine would be great.",
];
