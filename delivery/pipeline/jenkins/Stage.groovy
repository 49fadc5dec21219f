/** A stage as declared: steps, or nested stages that run in sequence or in parallel. */
class Stage {

    String name
    /** The time limit: `time` and `unit`. */
    Map<String, Object> timeout
    Closure<Boolean> when
    Closure<Void> steps
    List<Stage> stages = []
    boolean parallel = false
    Map<String, Closure<Void>> post = [:]

}
