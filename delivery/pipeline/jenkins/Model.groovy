/** A pipeline as declared: the result of Declarations for a Jenkinsfile that passes Grammar. */
class Model {

    String label
    Map<String, Map<String, Object>> parameters = [:]
    Map<String, Map<String, Object>> options = [:]
    Closure<Void> environment
    List<Stage> stages = []
    Map<String, Closure<Void>> post = [:]

}
