import com.sun.tools.attach.VirtualMachine;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import javax.management.ObjectName;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Tells how many requests the broker with the given pid has answered, each time that it reads a line. */
class Requests {
    public static void main(String[] args) throws Exception {
        var broker = VirtualMachine.attach(args[0]);
        var address = new JMXServiceURL(broker.startLocalManagementAgent());
        broker.detach();
        var beans = JMXConnectorFactory.connect(address).getMBeanServerConnection();
        var counters = new ObjectName("kafka.network:type=RequestMetrics,name=RequestsPerSec,*");
        var questions = new BufferedReader(new InputStreamReader(System.in));
        while (questions.readLine() != null) {
            long answered = 0;
            for (var counter : beans.queryNames(counters, null)) {
                // A fetch counts once as itself and once by who it comes from.
                if (!counter.getKeyProperty("request").matches("Fetch(Consumer|Follower)")) {
                    answered += (Long) beans.getAttribute(counter, "Count");
                }
            }
            System.out.println(answered);
        }
        System.exit(0);
    }
}
