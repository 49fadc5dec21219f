/** A pipeline as declared: what Declarations makes of a Jenkinsfile that Grammar understands. */
class Model {

    String label
    Map<String, Map<String, Object>> parameters = [:]
    Map<String, Map<String, Object>> options = [:]
    Closure<Void> environment
    List<Stage> stages = []
    Map<String, Closure<Void>> post = [:]

}
