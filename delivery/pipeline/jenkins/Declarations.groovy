/**
 * Evaluates a Jenkinsfile's declarations, and keeps its blocks of steps and conditions for later. Grammar has checked
 * the structure before.
 */
class Declarations {

    /** The model of a Jenkinsfile's text; `binding` has the variables of its expressions. */
    static Model read(String source, Binding binding) {
        Script script = new GroovyShell(binding).parse(source, 'Jenkinsfile')
        PipelineSections sections = new PipelineSections()
        script.metaClass.pipeline = { Closure<Void> body -> within(body, sections) }
        script.run()
        sections.model
    }

    /** Run a block whose calls go to `target`. */
    static Object within(Closure body, Object target) {
        Closure block = body.clone()
        block.delegate = target
        block.resolveStrategy = Closure.DELEGATE_FIRST
        block.call()
    }

    static class PipelineSections {
        final Model model = new Model()

        void agent(Closure<Void> body) {
            within(body, new Calls(label: { String label -> model.label = label }))
        }

        void triggers(Closure<Void> body) {
            // In Jenkins GitHub's webhook starts builds; here a person or a test does.
            within(body, new Calls(githubPush: { }))
        }

        void parameters(Closure<Void> body) {
            Closure<Void> add = { String type, Map<String, Object> facts ->
                model.parameters[facts.name] = facts + [type: type]
            }
            within(body, new Calls(Grammar.PARAMETERS.keySet().collectEntries { type -> [type, add.curry(type)] }))
        }

        void options(Closure<Void> body) {
            within(body, new Options(model))
        }

        void environment(Closure<Void> body) {
            model.environment = body
        }

        void stages(Closure<Void> body) {
            model.stages = Declarations.stages(body)
        }

        void post(Closure<Void> body) {
            model.post = Declarations.post(body)
        }
    }

    static class Options {
        private final Model model

        Options(Model model) {
            this.model = model
        }

        void disableConcurrentBuilds() {
            model.options.disableConcurrentBuilds = [:]
        }

        void skipDefaultCheckout() {
            model.options.skipDefaultCheckout = [:]
        }

        void timestamps() {
            model.options.timestamps = [:]
        }

        void buildDiscarder(Map<String, Object> strategy) {
            model.options.buildDiscarder = strategy
        }

        Map<String, Object> logRotator(Map<String, Object> strategy) {
            strategy
        }
    }

    static class StageSections {
        final Stage stage

        StageSections(String name) {
            stage = new Stage(name: name)
        }

        void options(Closure<Void> body) {
            within(body, new Calls(timeout: { Map<String, Object> limit -> stage.timeout = limit }))
        }

        void when(Closure<Boolean> body) {
            stage.when = body
        }

        void steps(Closure<Void> body) {
            stage.steps = body
        }

        void stages(Closure<Void> body) {
            stage.stages = Declarations.stages(body)
        }

        void parallel(Closure<Void> body) {
            stage.stages = Declarations.stages(body)
            stage.parallel = true
        }

        void post(Closure<Void> body) {
            stage.post = Declarations.post(body)
        }
    }

    private static List<Stage> stages(Closure<Void> body) {
        List<Stage> stages = []
        within(body, new Calls(stage: { String name, Closure<Void> content ->
            StageSections sections = new StageSections(name)
            within(content, sections)
            stages << sections.stage
        }))
        stages
    }

    private static Map<String, Closure<Void>> post(Closure<Void> body) {
        Map<String, Closure<Void>> blocks = [:]
        within(body, new Calls(Grammar.POST.collectEntries { name ->
            [name, { Closure<Void> steps -> blocks[name] = steps }]
        }))
        blocks
    }

}
