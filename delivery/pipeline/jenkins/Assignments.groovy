/** Collects the assignments NAME = value of an environment block. */
class Assignments {

    private final Map<String, String> target

    Assignments(Map<String, String> target) {
        this.target = target
    }

    Object propertyMissing(String name) {
        if (!target.containsKey(name)) {
            throw new MissingPropertyException(name, Assignments)
        }
        target[name]
    }

    void propertyMissing(String name, Object value) {
        target[name] = value.toString()
    }

}
