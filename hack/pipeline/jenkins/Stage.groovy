/** A stage as declared: it has steps, or other stages, which run one after the other or at once. */
class Stage {

    String name
    Closure<Boolean> when
    Closure<Void> steps
    List<Stage> stages = []
    boolean parallel = false
    Map<String, Closure<Void>> post = [:]

}
