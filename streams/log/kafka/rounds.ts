/**
 * One round in flight, the next one gathers: a question is answered by a round that began after it was asked, and all
 * questions that came meanwhile share it.
 */
export function createRounds<Question, Answer>(
  run: (questions: readonly Question[]) => Promise<Answer>,
): (question: Question) => Promise<Answer> {
  let gathering: { questions: Question[]; answer: Promise<Answer> } | undefined
  let running: Promise<unknown> | undefined

  const start = async (questions: readonly Question[]): Promise<Answer> => {
    gathering = undefined
    const round = run(questions)
    running = round
    try {
      return await round
    } finally {
      // Only the last round to start is waited for, and none starts before this line.
      running = undefined
    }
  }

  return (question) => {
    if (gathering !== undefined) {
      gathering.questions.push(question)
      return gathering.answer
    }
    const questions = [question]
    if (running === undefined) return start(questions)
    const answer = running.then(
      () => start(questions),
      () => start(questions),
    )
    gathering = { questions, answer }
    return answer
  }
}
