/** How a build or a stage ended, best first. */
enum Result {
    SUCCESS, UNSTABLE, FAILURE, ABORTED
}
