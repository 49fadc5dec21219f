/** An object whose only methods are a map's closures. */
class Calls {

    private final Map<String, Closure> methods

    Calls(Map<String, Closure> methods) {
        this.methods = methods
    }

    Object methodMissing(String name, Object arguments) {
        Closure method = methods[name]
        if (!method) {
            throw new MissingMethodException(name, Calls, arguments as Object[])
        }
        method(*arguments)
    }

}
