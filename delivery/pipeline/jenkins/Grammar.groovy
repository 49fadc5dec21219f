import org.codehaus.groovy.ast.ASTNode
import org.codehaus.groovy.ast.builder.AstBuilder
import org.codehaus.groovy.ast.expr.BinaryExpression
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.ConstantExpression
import org.codehaus.groovy.ast.expr.Expression
import org.codehaus.groovy.ast.expr.ListExpression
import org.codehaus.groovy.ast.expr.MapExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.expr.NamedArgumentListExpression
import org.codehaus.groovy.ast.expr.VariableExpression
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.ast.stmt.Statement
import org.codehaus.groovy.control.CompilePhase

/**
 * Checks a declarative pipeline's syntax tree before anything runs, as Jenkins does.
 *
 * It lists only the syntax that this interpreter carries out. Anything else in a Jenkinsfile is an error with its line.
 * Source of the rules: Jenkins' Pipeline Syntax reference.
 */
class Grammar {

    /** A call's named arguments, and whether it takes a block. The first argument may omit its name. */
    static class Signature {
        List<String> names = []
        List<String> required = []
        boolean block = false
        /** The calls that each argument's value may contain. */
        Map<String, Map<String, Signature>> nested = [:]
    }

    static final Map<String, Signature> CREDENTIALS = [
        file: takes(['credentialsId', 'variable'], ['credentialsId', 'variable']),
        string: takes(['credentialsId', 'variable'], ['credentialsId', 'variable']),
        usernamePassword: takes(
            ['credentialsId', 'usernameVariable', 'passwordVariable'],
            ['credentialsId', 'usernameVariable', 'passwordVariable']),
    ]
    static final Map<String, Signature> STEPS = [
        checkout: takes(['scm'], ['scm']),
        sh: takes(['script', 'label'], ['script']),
        input: takes(['message', 'ok'], ['message']),
        junit: takes(['testResults'], ['testResults']),
        recordCoverage: takes(['tools'], ['tools']),
        archiveArtifacts: takes(['artifacts', 'allowEmptyArchive', 'fingerprint'], ['artifacts']),
        withCredentials: new Signature(
            names: ['bindings'], required: ['bindings'], block: true, nested: [bindings: CREDENTIALS]),
    ]
    static final Map<String, Signature> OPTIONS = [
        disableConcurrentBuilds: takes([], []),
        skipDefaultCheckout: takes([], []),
        timestamps: takes([], []),
        buildDiscarder: new Signature(names: ['strategy'], required: ['strategy'], nested: [
            strategy: [logRotator: takes(['numToKeepStr'], ['numToKeepStr'])],
        ]),
    ]
    static final Map<String, Signature> STAGE_OPTIONS = [timeout: takes(['time', 'unit'], ['time', 'unit'])]
    static final Map<String, Signature> PARAMETERS = [
        string: takes(['name', 'defaultValue', 'description'], ['name', 'description']),
        choice: takes(['name', 'choices', 'description'], ['name', 'choices', 'description']),
        booleanParam: takes(['name', 'defaultValue', 'description'], ['name', 'defaultValue', 'description']),
    ]
    static final Map<String, Signature> TRIGGERS = [githubPush: takes([], [])]
    static final Map<String, Signature> AGENT = [label: takes(['label'], ['label'])]
    static final Map<String, Signature> CONDITIONS = [
        branch: takes(['pattern'], ['pattern']),
        changeRequest: takes([], []),
        expression: new Signature(block: true),
        not: new Signature(block: true),
        allOf: new Signature(block: true),
    ]
    static final List<String> POST = ['always', 'unsuccessful', 'failure', 'success', 'cleanup']
    static final List<String> CONTENT = ['steps', 'stages', 'parallel']

    final List<String> errors = []
    private final Set<String> names = []

    /** The errors of a Jenkinsfile's text, in its order; none if it is valid. Fails on text that is not Groovy. */
    static List<String> errorsOf(String source) {
        Grammar grammar = new Grammar()
        List<Statement> statements =
            new AstBuilder().buildFromString(CompilePhase.CONVERSION, false, source)[0].statements
        if (statements.size() != 1) {
            return ['A declarative Jenkinsfile is one pipeline block, and nothing beside it.']
        }
        grammar.check(statements)
        grammar.errors
    }

    /** Check the statements, and add their errors. */
    void check(List<Statement> statements) {
        calls(statements, 'block of a Jenkinsfile', ['pipeline']).each { call -> pipeline(call) }
    }

    private static Signature takes(List<String> names, List<String> required) {
        new Signature(names: names, required: required)
    }

    private static List<Expression> arguments(MethodCallExpression call) {
        List<Expression> values = call.arguments.expressions
        // Named arguments alone are a single expression of their own type.
        values.collect { value ->
            value instanceof NamedArgumentListExpression ? new MapExpression(value.mapEntryExpressions) : value
        }
    }

    private void pipeline(MethodCallExpression pipeline) {
        List<MethodCallExpression> sections = sections(
            pipeline, 'pipeline',
            ['agent', 'triggers', 'parameters', 'options', 'environment', 'stages', 'post'], ['agent', 'stages'])
        sections.each { call ->
            switch (call.methodAsString) {
                case 'agent': known(call, 'agent', AGENT); break
                case 'triggers': known(call, 'trigger', TRIGGERS); break
                case 'parameters': known(call, 'parameter', PARAMETERS); break
                case 'options': known(call, 'option', OPTIONS); break
                case 'environment': environment(call); break
                case 'stages': stages(call, false); break
                case 'post': post(call); break
            }
        }
    }

    private void stages(MethodCallExpression stages, boolean parallel) {
        List<MethodCallExpression> matches = sections(stages, stages.methodAsString, ['stage'], ['stage'], true)
        matches.each { call -> stage(call, parallel) }
    }

    private void stage(MethodCallExpression stage, boolean parallel) {
        List<Expression> arguments = arguments(stage)
        if (arguments.size() != 2 || !(arguments[0] instanceof ConstantExpression)) {
            fail(stage, 'a stage has a name and a block')
            return
        }
        if (!names.add(arguments[0].value as String)) {
            fail(stage, "another stage is named \"${arguments[0].value}\" as well")
        }
        List<MethodCallExpression> sections = sections(stage, 'stage', ['options', 'when', 'post'] + CONTENT, [])
        if (sections.count { call -> call.methodAsString in CONTENT } != 1) {
            fail(stage, "a stage has one of ${CONTENT.join(', ')}")
        }
        if (sections*.methodAsString.containsAll(['options', 'stages'])) {
            fail(stage, 'a time limit around stages ends their post actions, too: give it to the stages inside')
        }
        sections.each { call ->
            switch (call.methodAsString) {
                case 'options': known(call, 'option of a stage', STAGE_OPTIONS); break
                case 'when': conditions(call, true); break
                case 'post': post(call); break
                case 'steps': steps(call); break
                case 'stages': stages(call, parallel); break
                case 'parallel':
                    if (parallel) {
                        fail(call, 'parallel can\'t be inside parallel')
                    }
                    stages(call, true)
                    break
            }
        }
    }

    private void post(MethodCallExpression post) {
        sections(post, 'post', POST, []).each { call -> steps(call) }
    }

    private void conditions(MethodCallExpression outer, boolean one) {
        List<MethodCallExpression> matches = known(outer, 'condition', CONDITIONS)
        if (matches.empty || one && matches.size() > 1) {
            fail(outer, "${outer.methodAsString} takes ${one ? 'one condition' : 'conditions'}")
        }
        matches.each { call ->
            if (call.methodAsString in ['not', 'allOf']) {
                conditions(call, call.methodAsString == 'not')
            }
        }
    }

    private void steps(MethodCallExpression outer) {
        List<MethodCallExpression> matches = known(outer, 'step', STEPS)
        if (matches.empty) {
            fail(outer, "${outer.methodAsString} has no step")
        }
        matches.each { call ->
            if (STEPS[call.methodAsString].block) {
                steps(call)
            }
        }
    }

    private void environment(MethodCallExpression environment) {
        block(environment).each { statement ->
            Expression expression = statement instanceof ExpressionStatement ? statement.expression : null
            boolean assigned = expression instanceof BinaryExpression &&
                expression.operation.text == '=' && expression.leftExpression instanceof VariableExpression
            if (!assigned) {
                fail(statement, 'environment has only NAME = value')
            }
        }
    }

    /** The calls in a block, each with its signature checked. */
    private List<MethodCallExpression> known(
            MethodCallExpression outer, String what, Map<String, Signature> signatures) {
        List<MethodCallExpression> matches = calls(block(outer), what, signatures.keySet() as List)
        matches.each { call -> signature(call, signatures[call.methodAsString]) }
        matches
    }

    /** The calls in a block of sections, each at most once unless it may repeat. */
    private List<MethodCallExpression> sections(
            MethodCallExpression outer, String what, List<String> allowed, List<String> required,
            boolean repeated = false) {
        List<MethodCallExpression> matches = calls(block(outer), "section of $what", allowed)
        Map<String, List<MethodCallExpression>> byName = matches.groupBy { call -> call.methodAsString }
        (required - byName.keySet()).each { name -> fail(outer, "$what has no $name") }
        if (!repeated) {
            byName.values().findAll { same -> same.size() > 1 }.each { same ->
                fail(same[1], "${same[1].methodAsString} appears twice")
            }
        }
        matches
    }

    private List<MethodCallExpression> calls(List<Statement> statements, String what, List<String> allowed) {
        statements.findResults { statement ->
            Expression expression = statement instanceof ExpressionStatement ? statement.expression : null
            if (!(expression instanceof MethodCallExpression && expression.implicitThis)) {
                fail(statement, "only a $what can be here: ${allowed.join(', ')}")
                return null
            }
            if (!(expression.methodAsString in allowed)) {
                fail(expression, "unknown $what \"${expression.methodAsString}\"; known here: ${allowed.join(', ')}")
                return null
            }
            expression
        }
    }

    private void signature(MethodCallExpression call, Signature signature) {
        List<Expression> values = arguments(call)
        boolean block = !values.empty && values.last() instanceof ClosureExpression
        if (block != signature.block) {
            fail(call, "${call.methodAsString} takes ${signature.block ? 'a' : 'no'} block")
        }
        Map<String, Expression> given = named(call, block ? values.init() : values, signature)
        (signature.required - given.keySet()).each { name -> fail(call, "${call.methodAsString} lacks $name") }
        (given.keySet() - signature.names).each { name ->
            fail(call, "${call.methodAsString} has no argument $name; known here: ${signature.names.join(', ')}")
        }
        signature.nested.each { name, signatures -> nested(given[name], signatures) }
    }

    private Map<String, Expression> named(MethodCallExpression call, List<Expression> values, Signature signature) {
        if (values.empty) {
            return [:]
        }
        if (values.size() == 1 && values[0] instanceof MapExpression) {
            return values[0].mapEntryExpressions.collectEntries { entry ->
                [(entry.keyExpression.value as String): entry.valueExpression]
            }
        }
        if (values.size() > 1 || signature.names.empty) {
            fail(call, "${call.methodAsString} takes ${signature.names.empty ? 'no arguments' : 'named arguments'}")
            return [:]
        }
        [(signature.names[0]): values[0]]
    }

    /** Calls in an argument's value, alone or in a list. */
    private void nested(Expression value, Map<String, Signature> signatures) {
        List<Expression> elements = value instanceof ListExpression ? value.expressions : [value].findAll()
        elements.each { element ->
            if (element instanceof MethodCallExpression && element.methodAsString in signatures.keySet()) {
                signature(element, signatures[element.methodAsString])
            } else {
                fail(element, "only these can be here: ${signatures.keySet().join(', ')}")
            }
        }
    }

    private List<Statement> block(MethodCallExpression call) {
        List<Expression> values = arguments(call)
        if (values.empty || !(values.last() instanceof ClosureExpression)) {
            fail(call, "${call.methodAsString} takes a block")
            return []
        }
        values.last().code.statements
    }

    private void fail(ASTNode where, String what) {
        errors << "Jenkinsfile: line ${where.lineNumber}: ${what}.".toString()
    }

}
