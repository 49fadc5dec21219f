/** The conditions of a when block, each a boolean; the block is true if all of them are. */
class Conditions {

    private final Map<String, Object> job
    private final List<Boolean> values = []

    Conditions(Map<String, Object> job) {
        this.job = job
    }

    boolean branch(String pattern) {
        add(job.branch == pattern)
    }

    boolean changeRequest() {
        add(job.changeRequest != null)
    }

    boolean expression(Closure<Object> body) {
        add(body() as boolean)
    }

    boolean not(Closure<Boolean> body) {
        add(!Declarations.within(body, new Conditions(job)))
    }

    boolean allOf(Closure<Boolean> body) {
        Conditions inner = new Conditions(job)
        Declarations.within(body, inner)
        add(inner.values.every())
    }

    private boolean add(boolean value) {
        values << value
        value
    }

}
