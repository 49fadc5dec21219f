/** A step failed: the build ends, with this as the reason. */
class BuildFailure extends Exception {

    BuildFailure(String message) {
        super(message)
    }

}
