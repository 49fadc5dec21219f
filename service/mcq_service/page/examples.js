// Example questions, one of each kind: knowledge, arithmetic, code, a map of words.

export const EXAMPLES = [
  {
    question: "Which planet of the solar system has the shortest day?",
    choices: ["Mercury", "Earth", "Jupiter", "Neptune"],
    mode: "explain",
  },
  {
    question: "A train covers 180 km in 2 hours and 15 minutes. What is its average speed?",
    choices: ["72 km/h", "80 km/h", "84 km/h", "90 km/h"],
    mode: "reason",
  },
  {
    question: "What does this Python program print?\n\nxs = [3, 1, 2]\nprint(sorted(xs)[-1], xs[-1])",
    choices: ["3 2", "3 3", "2 2", "2 3"],
    mode: "explain",
  },
  {
    question: "Which word is closest in meaning to “laconic”?",
    choices: ["Brief", "Lazy", "Milky", "Mournful", "Loyal"],
    mode: "answer",
  },
];
